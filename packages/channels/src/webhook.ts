import { createPrivateKey, createSecretKey, type KeyObject } from "node:crypto";
import { type Clock, parseAddress } from "@messenger/core";
import type { AddressGuard } from "./address-guard.ts";
import type { Channel, ChannelEndpoint, PushResult, Target } from "./channel.ts";
import type { EgressProxy } from "./egress-proxy.ts";
import { isBadPort } from "./ports.ts";
import { createPoster, wholeSeconds } from "./poster.ts";
import { withoutAnswer } from "./provider-api.ts";
import { signatureHeaders } from "./signature.ts";
import { composeBody } from "./webhook-body.ts";

/** The longest time limit that an endpoint can have. */
const MAX_TIMEOUT_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 15_000;
const ANSWER_BYTES = 1024;
const USER_AGENT = "Messenger/0.1 (+webhooks)";

const GONE = 410;
/**
 * What may be about the event itself: every other 4xx is the endpoint's state, as a deploy or an expired key
 * makes it.
 */
const ABOUT_THE_EVENT: ReadonlySet<number> = new Set([400, 406, 411, 413, 414, 415, 422, 431]);
/** The event itself may be what the receiver stumbles over. 502, 503 and 504 are the endpoint's state. */
const STUMBLES: ReadonlySet<number> = new Set([500, 501]);

/** Why an address can never be pushed to by this channel; undefined where it can. Names are not resolved here. */
export function refusalOf(address: string, guard: AddressGuard): string | undefined {
  const read = parseAddress(address);
  if (!read.usable) return read.reason;
  const { protocol, hostname, port, username, password } = read.url;
  if (protocol !== "http:" && protocol !== "https:") return `nothing delivers to ${protocol} addresses here`;
  if (username !== "" || password !== "") return "an address must not hold a password";
  if (hostname === "" || port === "0") return "the address names no host and port";
  if (isBadPort(Number(port))) return `no web server has port ${port}`;
  return guard.vetLiteral(hostname);
}

/** What the status of an answer means. */
function resultOf(status: number): PushResult {
  if (status >= 200 && status < 300) return { result: "delivered", status };
  if (status === GONE) return { result: "gone", status };
  if (ABOUT_THE_EVENT.has(status)) return { result: "rejected", status };
  return { result: "transient", status, ...(STUMBLES.has(status) && { mayBeTheEvent: true }) };
}

interface WebhookTarget extends Target {
  origin: string;
  hostname: string;
  /** Path and query. */
  path: string;
  refusal: string | undefined;
  secrets: readonly KeyObject[];
  signingKey: KeyObject | undefined;
  headers: Readonly<Record<string, string>> | undefined;
  isThin: boolean;
  timeoutMs: number;
}

/**
 * Pushes by HTTP: `POST` with a JSON body, signed, over HTTP/1.1. Redirects are not followed; of the response
 * up to 64 KiB are read.
 */
export function createWebhookChannel(options: {
  guard: AddressGuard;
  clock: Clock;
  /** Connections to one origin. */
  maxConnections?: number;
  proxy?: EgressProxy | undefined;
}): Channel {
  const { guard, clock } = options;
  const poster = createPoster(options);

  return {
    name: "webhook",
    vet: (address) => refusalOf(address, guard),
    laneKey(address) {
      const read = parseAddress(address);
      return read.usable ? read.url.origin : address;
    },
    prepare({ address, secrets, signingKey, headers, isThin = false, timeoutMs }: ChannelEndpoint): WebhookTarget {
      const read = parseAddress(address);
      return {
        address,
        origin: read.usable ? read.url.origin : "",
        hostname: read.usable ? read.url.hostname : "",
        path: read.usable ? read.url.pathname + read.url.search : "",
        refusal: refusalOf(address, guard),
        secrets: secrets.map((secret) => createSecretKey(secret)),
        signingKey: signingKey && createPrivateKey({ key: Buffer.from(signingKey), format: "der", type: "pkcs8" }),
        headers,
        isThin,
        timeoutMs: wholeSeconds(timeoutMs ?? DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS),
      };
    },
    async push(push) {
      const { origin, hostname, path, secrets, signingKey, headers, isThin, refusal, timeoutMs } = push.target as WebhookTarget;
      if (refusal !== undefined) return { result: "blocked", code: "BLOCKED", detail: refusal };
      const { id } = push.event;
      const body = composeBody(push, isThin);
      const timestamp = Math.floor(clock.now() / 1000);
      const answer = await poster.post({
        origin,
        path,
        headers: {
          "user-agent": USER_AGENT,
          ...headers,
          "content-type": "application/json",
          ...signatureHeaders({ id, timestamp, body, secrets, signingKey }),
          ...(push.trace === undefined ? undefined : { traceparent: push.trace }),
        },
        body,
        timeoutMs,
        ...(push.keepsAnswer === true && { keptBytes: ANSWER_BYTES }),
      });
      if (answer.status === undefined) return withoutAnswer(answer);
      const result = resultOf(answer.status);
      if (answer.retryAfterMs !== undefined) result.retryAfterMs = answer.retryAfterMs;
      if (answer.body.length > 0) {
        result.answer = answer.body;
        if (guard.isOpened(hostname)) result.isInternal = true;
      }
      return result;
    },
    close: () => poster.close(),
  };
}
