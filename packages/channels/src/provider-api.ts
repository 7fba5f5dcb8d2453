import type { PushResult } from "./channel.ts";
import type { PostAnswer } from "./poster.ts";

/** Bytes of a provider's answer that are read: it names the message, or the error. */
export const PROVIDER_ANSWER_BYTES = 16 * 1024;

/** No connection was made: nothing was sent. */
const UNSENT: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EPROXY",
  "EBLOCKED",
  "UND_ERR_CONNECT_TIMEOUT",
]);
/** Somebody answered who may not know what became of it. */
const MAY_BE_SENT: ReadonlySet<number> = new Set([500, 502, 504]);

/** The JSON object of a provider's answer; undefined where it is none. */
export function jsonOf(answer: PostAnswer): Record<string, unknown> | undefined {
  if (answer.status === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(answer.body).toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** No answer came: it is tried again. A proxy's own fault is not the address's. */
export function withoutAnswer(answer: Extract<PostAnswer, { code: string }>): PushResult {
  return { result: "transient", ...answer, ...(answer.code === "EPROXY" && { isProvidersFault: true }) };
}

/**
 * What an answer means that is no success, where the provider's own code says nothing of it: no answer, 401, 403,
 * 404, 405, 429 and 5xx are the provider's state, or that of the account there.
 */
export function failureOf(answer: PostAnswer): PushResult | undefined {
  if (answer.status === undefined) {
    return { result: "transient", ...answer, isProvidersFault: true, ...(!UNSENT.has(answer.code) && { mayBeSent: true }) };
  }
  const { status, retryAfterMs } = answer;
  if (status < 300) return undefined;
  const later = retryAfterMs === undefined ? undefined : { retryAfterMs };
  if (status === 401 || status === 403 || status === 404 || status === 405 || status === 429 || status >= 500 || status < 400) {
    return { result: "transient", status, isProvidersFault: true, ...(MAY_BE_SENT.has(status) && { mayBeSent: true }), ...later };
  }
  return undefined;
}
