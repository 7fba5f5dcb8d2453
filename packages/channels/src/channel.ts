import type { KeyObject } from "node:crypto";

/** An event on its way to an address. */
export interface Push {
  /** The endpoint's address, as it was given. */
  address: string;
  /** What `webhook-id` carries: the same for every attempt at the same event. */
  id: string;
  /** The body: a JSON object. */
  body: Uint8Array;
  /** Signing secrets, the current one first, then the one before while it is valid. */
  secrets: readonly KeyObject[];
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
  /** Makes one attempt. Never rejects; takes 10 s at most. */
  push(push: Push): Promise<PushResult>;
  close(): Promise<void>;
}
