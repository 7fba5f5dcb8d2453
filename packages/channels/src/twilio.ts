import type { Clock } from "@messenger/core";
import type { Channel, PushResult, Target } from "./channel.ts";
import { type PostAnswer, type Poster, wholeSeconds } from "./poster.ts";
import { failureOf, jsonOf, PROVIDER_ANSWER_BYTES } from "./provider-api.ts";
import { createProviderPause } from "./provider-pause.ts";
import { readPhoneNumber, recipientOf } from "./recipients.ts";
import { textOf } from "./text.ts";

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

const TIMEOUT_MS = 15_000;
/** Characters of a message, over all its segments. */
const MOST = 1600;

/**
 * Twilio's codes (https://www.twilio.com/docs/api/errors): the number is none, cannot get messages, or its owner
 * has unsubscribed (21610).
 */
const GONE: ReadonlySet<number> = new Set([21_211, 21_214, 21_217, 21_610, 21_614, 63_003]);
/** The account, or the number that it is from, is at fault. */
const ACCOUNT: ReadonlySet<number> = new Set([20_003, 20_404, 21_212, 21_606, 21_603, 21_659, 21_660, 21_661, 63_007]);
/** Too much at once: of the account, or of the number that it is from. */
const THROTTLED: ReadonlySet<number> = new Set([14_107, 20_429, 63_018]);

function resultOf(answer: PostAnswer): PushResult {
  const body = jsonOf(answer);
  const code = typeof body?.["code"] === "number" ? body["code"] : undefined;
  const status = answer.status === undefined ? undefined : { status: answer.status };
  // Of its words nothing is kept: they name the number.
  const more = { ...status, ...(code !== undefined && { code: `Twilio ${code}` }) };
  if (code !== undefined && (THROTTLED.has(code) || ACCOUNT.has(code)))
    return { ...failureOf(answer), result: "transient", isProvidersFault: true, ...more };
  if (code !== undefined && GONE.has(code)) return { result: "gone", ...more };
  const failure = failureOf(answer);
  if (failure !== undefined) return { ...failure, ...more };
  if (answer.status !== undefined && answer.status < 300) {
    const sid = body?.["sid"];
    return { result: "delivered", ...status, ...(typeof sid === "string" && { providerId: sid.slice(0, 100) }) };
  }
  return { result: "rejected", isFinal: true, ...more };
}

interface PhoneTarget extends Target {
  number: string | undefined;
  timeoutMs: number;
}

/** Sends SMS, or WhatsApp messages, by Twilio's Messages resource. */
export function createTwilioChannel(
  options: TwilioSettings & { kind: "sms" | "whatsapp"; poster: Poster; clock: Clock },
): Channel {
  const { kind, poster, accountSid, authToken } = options;
  const scheme = `${kind}:`;
  const prefix = kind === "whatsapp" ? "whatsapp:" : "";
  const api = new URL(`/2010-04-01/Accounts/${accountSid}/Messages.json`, options.baseUrl);
  const authorization = `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString("base64")}`;
  const pause = createProviderPause(options.clock);

  async function send(id: string, number: string, text: string, timeoutMs: number): Promise<PushResult> {
    const form = new URLSearchParams({ To: prefix + number, Body: text });
    if (options.from.startsWith("MG")) form.set("MessagingServiceSid", options.from);
    else form.set("From", prefix + options.from);
    if (options.publicUrl !== undefined)
      form.set("StatusCallback", `${options.publicUrl}/api/callbacks/twilio?notification=${id}`);
    const answer = await poster.post({
      origin: api.origin,
      path: api.pathname,
      headers: { "content-type": "application/x-www-form-urlencoded", authorization },
      body: Buffer.from(form.toString()),
      timeoutMs,
      keptBytes: PROVIDER_ANSWER_BYTES,
    });
    return resultOf(answer);
  }

  return {
    name: kind,
    maxTimeoutMs: TIMEOUT_MS,
    vet: (address) =>
      readPhoneNumber(recipientOf(address, scheme) ?? "") === undefined
        ? "this is no phone number with its country's code"
        : undefined,
    laneKey: () => scheme,
    prepare: ({ address, timeoutMs = TIMEOUT_MS }): PhoneTarget => ({
      address,
      number: readPhoneNumber(recipientOf(address, scheme) ?? ""),
      timeoutMs: wholeSeconds(timeoutMs, TIMEOUT_MS),
    }),
    async push(push) {
      const { number, timeoutMs } = push.target as PhoneTarget;
      if (number === undefined) return { result: "blocked", code: "BLOCKED", detail: "this is no phone number" };
      const { text } = textOf(push);
      if (text.length > MOST)
        return { result: "rejected", isFinal: true, code: "ETOOLONG", detail: `a message has at most ${MOST} characters` };
      return pause.attempt(() => send(push.event.id, number, text, timeoutMs));
    },
    close: () => Promise.resolve(), // the poster is closed by whoever made it
  };
}
