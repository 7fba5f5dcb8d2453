import type { KeyObject } from "node:crypto";

/** Where to push, read from an endpoint's address once and used for any number of pushes. */
export interface Target {
  /** Scheme, host and port. */
  origin: string;
  /** Path and query. */
  path: string;
  /** Why nothing can be pushed there; undefined where it can, as far as that is known without resolving names. */
  refusal: string | undefined;
}

/** An event on its way to an address. */
export interface Push {
  target: Target;
  /** What `webhook-id` carries: the same for every attempt at the same event. */
  id: string;
  /** The body: a JSON object. */
  body: Uint8Array;
  /** Signing secrets, the current one first, then the one before while it is valid. */
  secrets: readonly KeyObject[];
  /** W3C Trace Context: what the address is told of the trace that this is part of. */
  trace?: string | undefined;
}

/** What came of an attempt, as the channel saw it; what follows from it is decided elsewhere. */
export type PushResult =
  /** The address answered. */
  | { kind: "answered"; status: number; retryAfterMs?: number }
  /** No answer came: the network, or the time limit. `error` is a short code. */
  | { kind: "failed"; error: string }
  /** The address must not be pushed to, or cannot be. */
  | { kind: "refused"; reason: string };

export interface Channel {
  /** What its attempts are counted under. */
  readonly name: string;
  /** Reads an endpoint's address, as it was given. */
  prepare(address: string): Target;
  /** Makes one attempt. Never rejects; takes 10 s at most. */
  push(push: Push): Promise<PushResult>;
  close(): Promise<void>;
}
