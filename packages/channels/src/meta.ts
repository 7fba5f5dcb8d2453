import type { Clock } from "@messenger/core";
import type { Channel } from "./channel.ts";
import { createPhoneChannel, phoneResult, type ProviderCodes } from "./phone.ts";
import type { Poster } from "./poster.ts";
import { jsonOf, PROVIDER_ANSWER_BYTES } from "./provider-api.ts";
import type { Template } from "./text.ts";

export interface MetaSettings {
  /** Of a system user, with `whatsapp_business_messaging`. */
  token: string;
  /** The id of the number that it is from. */
  phoneNumberId: string;
  /** Where the API is, with its version: `https://graph.facebook.com/v25.0`. */
  baseUrl: string;
}

const MAX_LENGTH = 4096;

/** WhatsApp Cloud API, *Error codes*. */
const CODES: ProviderCodes = {
  gone: new Set([131_026, 131_030, 131_021]),
  providersFault: new Set([
    // Too much at once: of the app, the account, or between two numbers.
    4, 80_007, 130_429, 131_048, 131_056,
    // The token or the account is at fault.
    0, 3, 10, 33, 100, 190, 200, 368, 131_005, 131_031, 131_042, 131_045,
    // Once in a while, something fails there.
    1, 2, 131_000, 131_016, 133_004, 131_057,
  ]),
};

/** As the Cloud API has it: *Message templates*. */
function describeTemplate({ name, language, variables }: Template): object {
  const parameters = variables.map((text) => ({ type: "text", text }));
  return { name, language: { code: language }, ...(parameters.length > 0 && { components: [{ type: "body", parameters }] }) };
}

/**
 * Sends WhatsApp messages by Meta's Cloud API. A text can be sent within 24 hours of the recipient's last message;
 * after that only a template, which Meta has approved (131047 otherwise).
 */
export function createMetaChannel(options: MetaSettings & { poster: Poster; clock: Clock }): Channel {
  const { poster, clock, token } = options;
  const api = new URL(`${options.baseUrl.replace(/\/$/u, "")}/${options.phoneNumberId}/messages`);

  return createPhoneChannel({
    kind: "whatsapp",
    clock,
    maxLength: MAX_LENGTH,
    async send({ id, number, text, template, timeoutMs }) {
      const body = {
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to: number.slice(1),
        biz_opaque_callback_data: id,
        ...(template === undefined
          ? { type: "text", text: { preview_url: false, body: text } }
          : { type: "template", template: describeTemplate(template) }),
      };
      const answer = await poster.post({
        origin: api.origin,
        path: api.pathname,
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
        body: Buffer.from(JSON.stringify(body)),
        timeoutMs,
        keptBytes: PROVIDER_ANSWER_BYTES,
      });
      const error = jsonOf(answer)?.["error"] as { code?: unknown } | undefined;
      return phoneResult(answer, "Meta", error?.code, CODES);
    },
  });
}
