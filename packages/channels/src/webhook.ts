import type { LookupFunction } from "node:net";
import { type Clock, parseAddress } from "@messenger/core";
import { Agent, type Dispatcher } from "undici";
import { type AddressGuard, AddressRefused } from "./address-guard.ts";
import type { Channel, Push, PushResult } from "./channel.ts";
import { signatureHeaders } from "./signature.ts";

const TOTAL_MS = 10_000;
const CONNECT_MS = 5_000;
const RESPONSE_BYTES = 64 * 1024;
const USER_AGENT = "Messenger/0.1 (+webhooks)";

/** Why an address can never be pushed to by this channel; undefined where it can. Names are not resolved here. */
export function refusalOf(address: string, guard: AddressGuard): string | undefined {
  const read = parseAddress(address);
  if (!read.usable) return read.reason;
  const { protocol, hostname, port, username, password } = read.url;
  if (protocol !== "http:" && protocol !== "https:") return `nothing delivers to ${protocol} addresses here`;
  if (username !== "" || password !== "") return "an address must not hold a password";
  if (hostname === "" || port === "0") return "the address names no host and port";
  return guard.vetLiteral(hostname);
}

/** The socket is made to one of the addresses that were vetted: the name is not resolved a second time. */
function guardedLookup(guard: AddressGuard): LookupFunction {
  return (hostname, _options, callback) => {
    guard.resolve(hostname).then(
      (found) =>
        callback(
          null,
          found.map(({ address, family }) => ({ address, family })),
        ),
      (error: unknown) => callback(error as NodeJS.ErrnoException, []),
    );
  };
}

/** Follows the chain of causes: undici wraps what a connection failed with. */
function errorOf(error: unknown): PushResult {
  let innermost: unknown = error;
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if (at instanceof AddressRefused) return { kind: "refused", reason: at.message };
    innermost = at;
  }
  const code: unknown = (innermost as { code?: unknown }).code;
  if (typeof code === "string") return { kind: "failed", error: code };
  return { kind: "failed", error: innermost instanceof Error ? innermost.name : "unknown" };
}

/** RFC 9110, 10.2.3: seconds, or a date. Undefined where it is neither. */
function retryAfterMs(header: string | string[] | undefined, now: number): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/u.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(ms) ? Math.max(ms, 0) : undefined;
}

/** Reads what is there of a body, up to its limit: the connection can be used again only after that. */
async function discard(body: Dispatcher.ResponseData["body"]): Promise<void> {
  try {
    let bytes = 0;
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      if (bytes > RESPONSE_BYTES) {
        body.destroy();
        return;
      }
    }
  } catch {
    // The status came: whether the rest of the answer does changes nothing.
  }
}

/**
 * Pushes by HTTP: `POST` with a JSON body, signed, over HTTP/1.1. Redirects are not followed; of the response up to 64 KiB are read; 10 s in all.
 */
export function createWebhookChannel(options: {
  guard: AddressGuard;
  clock: Clock;
  /** Connections to one origin. */
  maxConnections?: number;
}): Channel {
  const { guard, clock } = options;
  const agent = new Agent({
    connections: options.maxConnections ?? 32,
    pipelining: 1,
    allowH2: false,
    headersTimeout: TOTAL_MS,
    bodyTimeout: TOTAL_MS,
    keepAliveTimeout: 30_000,
    maxHeaderSize: 16 * 1024,
    connect: { timeout: CONNECT_MS, lookup: guardedLookup(guard), autoSelectFamily: true },
  });

  async function post(url: URL, push: Push, signal: AbortSignal): Promise<PushResult> {
    const timestamp = Math.floor(clock.now() / 1000);
    const response = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        ...signatureHeaders({ id: push.id, timestamp, body: push.body, secrets: push.secrets }),
      },
      body: push.body,
      signal,
    });
    await discard(response.body);
    const retryAfter = retryAfterMs(response.headers["retry-after"], clock.now());
    return { kind: "answered", status: response.statusCode, retryAfterMs: retryAfter };
  }

  return {
    async push(push) {
      const refusal = refusalOf(push.address, guard);
      if (refusal !== undefined) return { kind: "refused", reason: refusal };
      const { url } = parseAddress(push.address) as { url: URL };
      const limit = new AbortController();
      const timer = clock.after(TOTAL_MS, () =>
        limit.abort(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" })),
      );
      try {
        return await post(url, push, limit.signal);
      } catch (error) {
        return errorOf(error);
      } finally {
        timer.cancel();
      }
    },
    close: () => agent.destroy(),
  };
}
