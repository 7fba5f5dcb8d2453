import type { Clock } from "@messenger/core";
import type { Channel, PushResult, Target } from "./channel.ts";
import { type PostAnswer, type Poster, wholeSeconds } from "./poster.ts";
import { failureOf, jsonOf, PROVIDER_ANSWER_BYTES } from "./provider-api.ts";
import { createProviderPause } from "./provider-pause.ts";
import { readPhoneNumber, recipientOf } from "./recipients.ts";
import { textOf } from "./text.ts";

export interface MetaSettings {
  /** Of a system user, with `whatsapp_business_messaging`. */
  token: string;
  /** The id of the number that it is from. */
  phoneNumberId: string;
  /** Where the API is, with its version: `https://graph.facebook.com/v25.0`. */
  baseUrl: string;
}

const SCHEME = "whatsapp:";
const TIMEOUT_MS = 15_000;
const MOST = 4096;

/** Meta's codes (WhatsApp Cloud API, *Error codes*): the number gets no WhatsApp messages. */
const GONE: ReadonlySet<number> = new Set([131_026, 131_030, 131_021]);
/** Too much at once: of the app, the account, or between two numbers. */
const THROTTLED: ReadonlySet<number> = new Set([4, 80_007, 130_429, 131_048, 131_056]);
/** The token or the account is at fault. */
const ACCOUNT: ReadonlySet<number> = new Set([0, 3, 10, 33, 100, 190, 200, 368, 131_005, 131_031, 131_042, 131_045]);
/** Once in a while, something fails there. */
const LATER: ReadonlySet<number> = new Set([1, 2, 131_000, 131_016, 133_004, 131_057]);

function resultOf(answer: PostAnswer): PushResult {
  const body = jsonOf(answer);
  const error = body?.["error"] as { code?: unknown } | undefined;
  const code = typeof error?.code === "number" ? error.code : undefined;
  const status = answer.status === undefined ? undefined : { status: answer.status };
  // Of its words nothing is kept: they may name the number.
  const more = { ...status, ...(code !== undefined && { code: `Meta ${code}` }) };
  if (code !== undefined && (THROTTLED.has(code) || ACCOUNT.has(code) || LATER.has(code))) {
    return { ...failureOf(answer), result: "transient", isProvidersFault: true, ...more };
  }
  if (code !== undefined && GONE.has(code)) return { result: "gone", ...more };
  const failure = failureOf(answer);
  if (failure !== undefined) return { ...failure, ...more };
  if (answer.status !== undefined && answer.status < 300) {
    const id = (body?.["messages"] as { id?: unknown }[] | undefined)?.[0]?.id;
    return { result: "delivered", ...status, ...(typeof id === "string" && { providerId: id.slice(0, 200) }) };
  }
  return { result: "rejected", isFinal: true, ...more };
}

interface PhoneTarget extends Target {
  number: string | undefined;
  timeoutMs: number;
}

/**
 * Sends WhatsApp messages by Meta's Cloud API. A text can be sent within 24 hours of the recipient's last message;
 * after that only a template, which Meta has approved (131047 otherwise).
 */
export function createMetaChannel(options: MetaSettings & { poster: Poster; clock: Clock }): Channel {
  const { poster, token } = options;
  const api = new URL(`${options.baseUrl.replace(/\/$/u, "")}/${options.phoneNumberId}/messages`);
  const pause = createProviderPause(options.clock);

  async function send(number: string, content: object, timeoutMs: number): Promise<PushResult> {
    const body = { messaging_product: "whatsapp", recipient_type: "individual", to: number.slice(1), ...content };
    const answer = await poster.post({
      origin: api.origin,
      path: api.pathname,
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: Buffer.from(JSON.stringify(body)),
      timeoutMs,
      keptBytes: PROVIDER_ANSWER_BYTES,
    });
    return resultOf(answer);
  }

  return {
    name: "whatsapp",
    maxTimeoutMs: TIMEOUT_MS,
    vet: (address) =>
      readPhoneNumber(recipientOf(address, SCHEME) ?? "") === undefined
        ? "this is no phone number with its country's code"
        : undefined,
    laneKey: () => SCHEME,
    prepare: ({ address, timeoutMs = TIMEOUT_MS }): PhoneTarget => ({
      address,
      number: readPhoneNumber(recipientOf(address, SCHEME) ?? ""),
      timeoutMs: wholeSeconds(timeoutMs, TIMEOUT_MS),
    }),
    async push(push) {
      const { number, timeoutMs } = push.target as PhoneTarget;
      if (number === undefined) return { result: "blocked", code: "BLOCKED", detail: "this is no phone number" };
      const { text } = textOf(push);
      if (text.length > MOST)
        return { result: "rejected", isFinal: true, code: "ETOOLONG", detail: `a message has at most ${MOST} characters` };
      return pause.attempt(() =>
        send(
          number,
          { biz_opaque_callback_data: push.event.id, type: "text", text: { preview_url: false, body: text } },
          timeoutMs,
        ),
      );
    },
    close: () => Promise.resolve(), // the poster is closed by whoever made it
  };
}
