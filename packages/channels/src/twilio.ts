import type { Clock } from "@messenger/core";
import type { Channel, ProviderReport } from "./channel.ts";
import { createPhoneChannel, phoneResult, type ProviderCodes } from "./phone.ts";
import type { Poster } from "./poster.ts";
import { jsonOf, PROVIDER_ANSWER_BYTES } from "./provider-api.ts";

export interface TwilioSettings {
  /** Of the account: `AC…`. */
  accountSid: string;
  authToken: string;
  /** A number (E.164), or the sid of a messaging service (`MG…`). */
  from: string;
  /** Where the API is. */
  baseUrl: string;
  /** Where others reach the deployment: Twilio tells there what became of a message; undefined for nowhere. */
  publicUrl?: string | undefined;
}

/** Characters of a message, over all its segments. */
const MAX_LENGTH = 1600;

/** https://www.twilio.com/docs/api/errors */
const CODES: ProviderCodes = {
  // The number is none, cannot get messages, or its owner has unsubscribed (21610).
  gone: new Set([21_211, 21_214, 21_217, 21_610, 21_614, 63_003]),
  // Too much at once (14107, 20429, 63018); the account, or the number that it is from, is at fault.
  providersFault: new Set([14_107, 20_429, 63_018, 20_003, 20_404, 21_212, 21_606, 21_603, 21_659, 21_660, 21_661, 63_007]),
};

/** What Twilio calls a message. */
const MESSAGE_SID = /^(?:SM|MM)[0-9a-f]{32}$/u;
const ASKED_MS = 10_000;

/** States that nothing follows (Twilio, *Message Status Values*; Meta, *Webhooks, statuses*). */
export const FINAL_STATUSES: ReadonlyMap<string, ProviderReport["status"]> = new Map([
  ["delivered", "delivered"],
  ["read", "delivered"],
  ["failed", "failed"],
  ["undelivered", "failed"],
  ["canceled", "failed"],
]);

/** Sends SMS, or WhatsApp messages, by Twilio's Messages resource. */
export function createTwilioChannel(
  options: TwilioSettings & { kind: "sms" | "whatsapp"; poster: Poster; clock: Clock },
): Channel {
  const { kind, poster, clock, accountSid, authToken, from, publicUrl } = options;
  const prefix = kind === "whatsapp" ? "whatsapp:" : "";
  const api = new URL(`/2010-04-01/Accounts/${accountSid}/Messages.json`, options.baseUrl);
  const authorization = `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString("base64")}`;

  return createPhoneChannel({
    kind,
    clock,
    maxLength: MAX_LENGTH,
    async send({ id, number, text, template, timeoutMs }) {
      const form = new URLSearchParams({ To: prefix + number });
      if (template === undefined) form.set("Body", text);
      else {
        form.set("ContentSid", template.name);
        form.set("ContentVariables", JSON.stringify(Object.fromEntries(template.variables.map((value, n) => [n + 1, value]))));
      }
      if (from.startsWith("MG")) form.set("MessagingServiceSid", from);
      else form.set("From", prefix + from);
      if (publicUrl !== undefined) form.set("StatusCallback", `${publicUrl}/api/callbacks/twilio?notification=${id}`);
      const answer = await poster.post({
        origin: api.origin,
        path: api.pathname,
        headers: { "content-type": "application/x-www-form-urlencoded", authorization },
        body: Buffer.from(form.toString()),
        timeoutMs,
        keptBytes: PROVIDER_ANSWER_BYTES,
      });
      const json = jsonOf(answer);
      const result = phoneResult(answer, "Twilio", json?.["code"], CODES);
      const sid = json?.["sid"];
      return result.result === "delivered" && typeof sid === "string" && MESSAGE_SID.test(sid)
        ? { ...result, providerId: sid }
        : result;
    },
    async ask(providerId) {
      if (!MESSAGE_SID.test(providerId)) return undefined; // another provider's
      const answer = await poster.post({
        method: "GET",
        origin: api.origin,
        path: api.pathname.replace(/\.json$/u, `/${providerId}.json`),
        headers: { authorization },
        timeoutMs: ASKED_MS,
        keptBytes: PROVIDER_ANSWER_BYTES,
      });
      const json = answer.status === 200 ? jsonOf(answer) : undefined;
      const status = FINAL_STATUSES.get(String(json?.["status"]));
      const code = json?.["error_code"];
      return status && { status, code: typeof code === "number" ? `Twilio ${code}` : null };
    },
  });
}
