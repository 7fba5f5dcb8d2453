/** What can happen in an inbox. */
export type EventKind = "message.created" | "message.sent";

/** An event of an inbox's log, with all that a push of it needs. */
export interface InboxEvent {
  /** The inbox's id: an integer within 2^53. */
  inbox: number;
  /** The event's place in its inbox: 1, 2, 3, … without gaps. */
  seq: number;
  /** `inboxes.version` when the event was appended: a reader with older settings must read them anew. */
  version: number;
  /** What a push and its `webhook-id` carry: the message id for `message.created`, else a uuid v7 of its own. */
  id: string;
  kind: EventKind;
  messageId: string;
  conversation: number;
  /** When the event was appended, RFC 3339 with milliseconds, UTC. */
  createdAt: string;
  /** The JSON of a `MessageContent`. Empty when it was erased. */
  content: Uint8Array;
  /** Whether `content` is sealed by itself, under `messageId` (see `Keyring.contents`): in the log it is; what goes through a broker is sealed there. */
  sealed: boolean;
  /** The `traceparent` of the request that it came of, where that had one, and the event comes by the broker: the log does not keep it. */
  trace?: string | undefined;
}

/** An event as it travels between processes, which a broker seals. */
export type PlainEvent = InboxEvent & { sealed: false };

/**
 * What goes through the broker: an event, or a wake, which says "read this inbox's endpoints anew from the store, and read on".
 */
export type QueueMessage = ({ type: "event" } & PlainEvent) | { type: "wake"; inbox: number };

/** Says that an inbox has events up to `seq`; what they are is read from the log. May be lost or repeated. */
export interface LiveNotice {
  inbox: number;
  seq: number;
}

export const PARTITIONS_DEFAULT = 16;

/** The partition of an inbox: all events of an inbox go through the same queue, which keeps their order. */
export function partitionOf(inbox: number, partitions: number): number {
  return inbox % partitions;
}
