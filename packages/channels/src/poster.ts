import type { IncomingHttpHeaders } from "node:http";
import type { LookupFunction } from "node:net";
import { type Clock, createTimeLimit, type TimeLimit } from "@messenger/core";
import { Agent, buildConnector, type Dispatcher } from "undici";
import { type AddressGuard, AddressRefused } from "./address-guard.ts";
import { connectThrough, type EgressProxy, ProxyFault } from "./egress-proxy.ts";

const CONNECT_MS = 5_000;
const RESPONSE_BYTES = 64 * 1024;
const KEPT_BYTES = 1024;

/** A request over HTTP/1.1. */
interface Post {
  /** `POST` if not given. */
  method?: "GET" | "POST";
  origin: string;
  /** Path and query. */
  path: string;
  headers: Readonly<Record<string, string>>;
  body?: Uint8Array;
  /** A whole number of seconds. */
  timeoutMs: number;
  /** Bytes of the answer's body that are kept; 1 KiB of one that is no success if not given. */
  keptBytes?: number;
}

export type PostAnswer =
  /** Retry-After in milliseconds from now, where the answer has one. */
  | { status: number; retryAfterMs: number | undefined; body: Uint8Array }
  /** No answer came: the network, the time limit, or policy (`EBLOCKED`). */
  | { status?: never; code: string; detail?: string };

/** Sends requests to addresses that a guard lets through. Redirects are not followed. */
export interface Poster {
  /** Never rejects. */
  post(request: Post): Promise<PostAnswer>;
  close(): Promise<void>;
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
function errorOf(error: unknown): PostAnswer {
  let innermost: unknown = error;
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    // What a name leads to may be another address tomorrow: nothing is sent, and it is tried again.
    if (at instanceof AddressRefused) return { code: "EBLOCKED", detail: at.message };
    if (at instanceof ProxyFault) return { code: at.code, detail: at.message };
    innermost = at;
  }
  const code: unknown = (innermost as { code?: unknown }).code;
  if (typeof code === "string") return { code };
  return { code: innermost instanceof Error ? innermost.name : "unknown" };
}

/** RFC 9110, 10.2.3: seconds, or a date. Undefined where it is neither. */
function retryAfterMs(header: string | string[] | undefined, now: number): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/u.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(ms) ? Math.max(ms, 0) : undefined;
}

/**
 * One request and its answer. Undici's own `request` makes a stream, a promise and listeners for each answer,
 * of which nothing is needed here: a sender pushed 8,300 events/s with it, and 12,900 with this and one limit
 * for all.
 */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #clock: Clock;
  readonly #keptBytes: number | undefined;
  readonly #settle: (answer: PostAnswer) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #status: number | undefined;
  #retryAfterMs: number | undefined;
  #bytes = 0;
  readonly #kept: Buffer[] = [];
  #expired: Error | undefined;

  constructor(clock: Clock, keptBytes: number | undefined, settle: (answer: PostAnswer) => void) {
    this.#clock = clock;
    this.#keptBytes = keptBytes;
    this.#settle = settle;
  }

  /** Its time is up. */
  expire(): void {
    this.#expired = Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" });
    this.#controller?.abort(this.#expired);
    this.#finish({ code: "ETIMEDOUT" });
  }

  /** It could not begin. */
  fail(error: unknown): void {
    this.#finish(errorOf(error));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#expired !== undefined) controller.abort(this.#expired); // it waited too long for its connection
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return; // informational: the answer is still to come
    this.#status = status;
    this.#retryAfterMs = retryAfterMs(headers["retry-after"], this.#clock.now());
  }

  /** Of a body is read what is there, up to the limit: the connection can be used again only after that. */
  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const kept = this.#keptBytes ?? ((this.#status as number) >= 300 ? KEPT_BYTES : 0);
    if (this.#bytes < kept) this.#kept.push(Buffer.from(chunk.subarray(0, kept - this.#bytes)));
    this.#bytes += chunk.length;
    if (this.#bytes > RESPONSE_BYTES) controller.abort(new Error("the answer is too long"));
  }

  onResponseEnd(): void {
    this.#finish({ code: "EPROTO" });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#finish(errorOf(error));
  }

  /** Once the status came, whether the rest of the answer does changes nothing. */
  #finish(otherwise: PostAnswer): void {
    const status = this.#status;
    if (status === undefined) this.#settle(otherwise);
    else this.#settle({ status, retryAfterMs: this.#retryAfterMs, body: Buffer.concat(this.#kept) });
  }
}

/** A time limit by the second, as each limit has a list of its own. */
export function wholeSeconds(timeoutMs: number, mostMs: number): number {
  return Math.min(Math.ceil(timeoutMs / 1000) * 1000, mostMs);
}

export function createPoster(options: {
  guard: AddressGuard;
  clock: Clock;
  /** Connections to one origin. */
  maxConnections?: number | undefined;
  /** How requests leave this network; undefined where they go straight. */
  proxy?: EgressProxy | undefined;
}): Poster {
  const { guard, clock, proxy } = options;
  const direct = { timeout: CONNECT_MS, lookup: guardedLookup(guard), autoSelectFamily: true };
  const agent = new Agent({
    connections: options.maxConnections ?? 32,
    pipelining: 1,
    allowH2: false,
    headersTimeout: 0, // there is a limit on all of it
    bodyTimeout: 0,
    keepAliveTimeout: 30_000,
    maxHeaderSize: 16 * 1024,
    connect:
      proxy === undefined
        ? direct
        : connectThrough(proxy, {
            guard,
            timeoutMs: CONNECT_MS,
            direct: buildConnector(direct),
            secure: buildConnector({ timeout: CONNECT_MS }),
          }),
  });
  const limits = new Map<number, TimeLimit<Exchange>>();

  function limitOf(timeoutMs: number): TimeLimit<Exchange> {
    const found = limits.get(timeoutMs) ?? createTimeLimit<Exchange>(clock, timeoutMs, (exchange) => exchange.expire());
    limits.set(timeoutMs, found);
    return found;
  }

  return {
    post({ method = "POST", origin, path, headers, body = null, timeoutMs, keptBytes }) {
      const limit = limitOf(timeoutMs);
      return new Promise((resolve) => {
        const exchange: Exchange = new Exchange(clock, keptBytes, (answer) => {
          limit.end(exchange);
          resolve(answer);
        });
        limit.begin(exchange);
        try {
          agent.dispatch({ origin, path, method, headers, body }, exchange);
        } catch (error) {
          exchange.fail(error); // the agent was closed, or a header cannot be sent
        }
      });
    },
    close: () => agent.destroy(),
  };
}
