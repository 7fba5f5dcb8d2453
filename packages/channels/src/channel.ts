import type { InboxEvent } from "@messenger/core";

/** What a channel needs to know of an endpoint; nothing of it is sealed. */
export interface ChannelEndpoint {
  address: string;
  /** That sign pushes: the current one first, then the one before while it is valid. */
  secrets: readonly Uint8Array[];
  /** An ed25519 key (PKCS #8, DER) that signs pushes, too. */
  signingKey?: Uint8Array | undefined;
  /** By their names in lower case; they go out with each push. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Pushes say what happened, but not what was written. */
  isThin?: boolean;
  /** How long an attempt may take; the channel's own limit if not given. */
  timeoutMs?: number | undefined;
}

/** Where to push: made from an endpoint once, and used for any number of pushes. Only its channel looks into it. */
export interface Target {
  readonly address: string;
}

/** An event on its way to an address. */
export interface Push {
  target: Target;
  /** `id` is the same for every attempt at the same event. */
  event: Omit<InboxEvent, "content" | "data" | "sealed">;
  /** The content of the message that it is about, as `storedContent` wrote it; empty where there is none. */
  content: Uint8Array;
  /** What it says beside that. */
  data?: Readonly<Record<string, unknown>> | undefined;
  /** The user whose inbox it is from; 0 where it is nobody's. */
  receiver: number;
  /** The beginning of the answer is wanted in any case. */
  keepsAnswer?: boolean;
  /** W3C Trace Context: what the address is told of the trace that this is part of. */
  trace?: string | undefined;
}

/**
 * What an attempt came to. What an answer means is the channel's business; what follows from it is decided in
 * the sender's `outcome.ts`.
 */
export type Result =
  /** The address, or its provider, has taken it. */
  | "delivered"
  /** Not now: the same may be taken later. */
  | "transient"
  /** The answer may be about this event: others may be taken. */
  | "rejected"
  /** The address is no more. */
  | "gone"
  /** Policy does not allow the address, or nothing can be pushed to it. */
  | "blocked";

export interface PushResult {
  result: Result;
  /** The status of the answer (HTTP, SMTP), where there was one. */
  status?: number;
  /** Where it was not delivered: what happened, for a program. A network error, or a provider's own code. */
  code?: string;
  /** The same for a person, where the channel knows more than the code says. */
  detail?: string;
  /** When to try again at the earliest, as the answer asked for. */
  retryAfterMs?: number;
  /** Of `transient`: the receiver may stumble over this very event. */
  mayBeTheEvent?: boolean;
  /** Of `rejected`: another try would be rejected, too. */
  isFinal?: boolean;
  /** Of `transient`: the provider, or the way to it, is at fault; the address is not. */
  isProvidersFault?: boolean;
  /** Of `transient`: it may have been sent all the same. */
  mayBeSent?: boolean;
  /** Of `delivered`: what the provider calls it, where it can be asked about it later. */
  providerId?: string;
  /** False where nothing was sent to anybody: it is not recorded. */
  isAttempt?: boolean;
  /** Where it was not delivered, or is wanted: the first bytes of the answer. */
  answer?: Uint8Array;
  /** The answer is of an address that is not public: who owns the endpoint may have no business with it. */
  isInternal?: boolean;
}

/** What a provider knows of something that it has taken. */
export interface ProviderReport {
  status: "delivered" | "failed";
  /** Why it failed; null where nobody says. */
  code: string | null;
}

/** A way to push to the addresses of some schemes. Every channel passes the suite in `conformance.test.ts`. */
export interface Channel {
  /** What its attempts are counted under. */
  readonly name: string;
  /** Why an address can never be pushed to; undefined where it can, as far as that is known without asking anybody. */
  vet(address: string): string | undefined;
  /** Pushes to addresses of the same lane key share an origin's limits. */
  laneKey(address: string): string;
  /** Reads an endpoint. What is wrong with it is the result of each push. */
  prepare(endpoint: ChannelEndpoint): Target;
  /** Makes one attempt. Never rejects; takes no longer than the endpoint's time limit. */
  push(push: Push): Promise<PushResult>;
  /**
   * Asks the provider what became of something; undefined where that is not known, or not yet. Not there where there is
   * nobody to ask.
   */
  ask?(providerId: string): Promise<ProviderReport | undefined>;
  /** Breaks off what is in flight. */
  close(): Promise<void>;
}
