import { parseAddress, type Random } from "@messenger/core";
import type { AddressGuard } from "./address-guard.ts";
import type { Channel, PushResult, Target } from "./channel.ts";
import { matchesHost } from "./hosts.ts";
import { type PostAnswer, type Poster, wholeSeconds } from "./poster.ts";
import { withoutAnswer } from "./provider-api.ts";
import { textOf } from "./text.ts";
import type { Vapid } from "./vapid.ts";
import { refusalOf } from "./webhook.ts";
import { encryptPush, MAX_PAYLOAD_BYTES, refusalOfKeys, type SubscriptionKeys } from "./web-push-encryption.ts";

const SCHEME = "webpush:";
const TIMEOUT_MS = 15_000;
/** What waits at the push service for a device that is off. */
const TTL_S = 24 * 60 * 60;
const POINT_BYTES = 65;
const SALT_BYTES = 16;
/** RFC 8030, 5.4. */
const TOPIC = /^[\w-]{1,32}$/u;

/** The address of a subscription: `webpush:` and the URL that the browser's push service gave it, in its usual form. */
export function webPushAddress(url: string): string {
  return SCHEME + (URL.parse(url)?.href ?? url);
}

/** Whose push service it is. */
export function originOfWebPush(address: string): string {
  return URL.parse(urlOf(address))?.origin ?? "";
}

/** The push services of browsers: a name, or `.domain` with all below it. */
export const PUSH_SERVICES: readonly string[] = [
  "fcm.googleapis.com",
  ".push.services.mozilla.com",
  ".push.apple.com",
  ".notify.windows.com",
];

/** The keys of a subscription as they are kept, in the place of an endpoint's secret. */
export function packKeys({ p256dh, auth }: SubscriptionKeys): Buffer {
  return Buffer.concat([p256dh, auth]);
}

const unpackKeys = (packed: Uint8Array): SubscriptionKeys => ({
  p256dh: packed.subarray(0, POINT_BYTES),
  auth: packed.subarray(POINT_BYTES),
});

const urlOf = (address: string): string => address.trim().slice(SCHEME.length);

/**
 * Why nothing can be pushed to such an address; undefined where it can. Its host must be one of these `services`, or
 * in a range that was opened: else anybody could have us post to any server, without its consent.
 */
export function refusalOfWebPush(address: string, guard: AddressGuard, services: readonly string[] = ["*"]): string | undefined {
  const url = urlOf(address);
  if (!address.startsWith(SCHEME) || !/^https?:\/\//u.test(url)) return "this is no address of a push service";
  const read = parseAddress(url);
  const isSecure = read.usable && read.url.protocol === "https:";
  // In the clear, what is sent is encrypted still, but anybody can have it dropped, or say that the subscription is gone.
  if (!isSecure && !(read.usable && read.url.protocol === "http:" && guard.isOpened(read.url.hostname))) {
    return "the address of a push service begins with https://";
  }
  const { hostname } = read.url;
  const refusal = refusalOf(url, guard);
  if (refusal !== undefined || guard.isOpened(hostname) || matchesHost(services, hostname)) return refusal;
  return "this is no push service that is known here (PUSH_SERVICES)";
}

interface WebPushTarget extends Target {
  origin: string;
  path: string;
  refusal: string | undefined;
  keys: SubscriptionKeys;
  timeoutMs: number;
}

/** What an answer means (RFC 8030, 5 and 7.3; RFC 8292, 4.2). */
function resultOf(answer: PostAnswer): PushResult {
  if (answer.status === undefined) return withoutAnswer(answer);
  const { status, retryAfterMs } = answer;
  if (status >= 200 && status < 300) return { result: "delivered", status };
  if (status === 404 || status === 410) return { result: "gone", status };
  const later = retryAfterMs === undefined ? undefined : { retryAfterMs };
  // 401 and 403: the push service does not believe who sends it, which is not the subscription's fault.
  const isState = status === 401 || status === 403 || status === 408 || status === 429 || status >= 500 || status < 400;
  return isState ? { result: "transient", status, ...later } : { result: "rejected", status, isFinal: true };
}

/** Pushes to browsers, by their push services (RFC 8030), encrypted for each subscription (RFC 8291). */
export function createWebPushChannel(options: { guard: AddressGuard; poster: Poster; vapid: Vapid; random: Random }): Channel {
  const { guard, poster, vapid, random } = options;

  return {
    name: "webpush",
    vet: (address) => refusalOfWebPush(address, guard),
    laneKey(address) {
      const read = parseAddress(urlOf(address));
      return read.usable ? read.url.origin : address;
    },
    prepare({ address, secrets, timeoutMs = TIMEOUT_MS }): WebPushTarget {
      const read = parseAddress(urlOf(address));
      const keys = unpackKeys(secrets[0] ?? new Uint8Array());
      return {
        address,
        origin: read.usable ? read.url.origin : "",
        path: read.usable ? read.url.pathname + read.url.search : "",
        refusal: refusalOfWebPush(address, guard) ?? refusalOfKeys(keys),
        keys,
        timeoutMs: wholeSeconds(timeoutMs, TIMEOUT_MS),
      };
    },
    async push(push) {
      const { origin, path, refusal, keys, timeoutMs } = push.target as WebPushTarget;
      if (refusal !== undefined) return { result: "blocked", code: "BLOCKED", detail: refusal };
      const { subject, text } = textOf(push);
      const topic = push.data?.["topic"];
      const tag = typeof topic === "string" && TOPIC.test(topic) ? topic : undefined;
      // What a service worker reads.
      const payload = Buffer.from(JSON.stringify({ title: subject, body: text, ...(tag !== undefined && { tag }) }));
      if (payload.length > MAX_PAYLOAD_BYTES) {
        return { result: "rejected", isFinal: true, code: "ETOOLONG", detail: `a push has at most ${MAX_PAYLOAD_BYTES} bytes` };
      }
      const answer = await poster.post({
        origin,
        path,
        headers: {
          authorization: await vapid.authorization(origin),
          "content-encoding": "aes128gcm",
          "content-type": "application/octet-stream",
          ttl: String(TTL_S),
          urgency: "normal",
          ...(tag !== undefined && { topic: tag }),
        },
        body: encryptPush(payload, keys, { salt: random.bytes(SALT_BYTES) }),
        timeoutMs,
      });
      return resultOf(answer);
    },
    close: () => Promise.resolve(), // what it sends by is closed by whoever made it
  };
}
