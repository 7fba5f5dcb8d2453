/**
 * What can happen in an inbox: an open set. Whoever does not know a kind passes over its events in the log,
 * and takes one that comes by the broker as a wake.
 */
export type EventKind = KnownKind | (string & {});
type KnownKind = (typeof KINDS)[number];

const KINDS = [
  "message.created",
  "message.sent",
  "message.requested",
  "message.edited",
  "message.deleted",
  "reaction.added",
  "reaction.removed",
  "receipt.read",
  "conversation.created",
  "conversation.changed",
  "member.added",
  "member.changed",
  "member.left",
  "member.removed",
  "preferences.changed",
  "endpoint.failing",
  "endpoint.disabled",
  "dead_letter.created",
] as const;

/** The kinds that this version knows, and takes from the broker without reading the log. */
export const KNOWN_KINDS: ReadonlySet<string> = new Set<KnownKind>(KINDS);

const WITH_CONTENT: ReadonlySet<string> = new Set<KnownKind>([
  "message.created",
  "message.sent",
  "message.requested",
  "message.edited",
]);

/** Whether what an event said was erased: as the log has it, or as it came by the broker where that has all of it. */
export function isErased({ kind, content, data }: Pick<InboxEvent, "kind" | "content" | "data">): boolean {
  if (kind === "notification.created") return data == null;
  return WITH_CONTENT.has(kind) && content.length === 0;
}

const COMPLETE: ReadonlySet<string> = new Set<KnownKind>(["message.created", "message.sent", "message.requested"]);

/**
 * Whether what goes through a broker has all that an event of this kind says. Of others, it lacks the data, or the
 * version of the message.
 */
export function isCompleteInBroker(kind: EventKind): boolean {
  return COMPLETE.has(kind);
}

/** In an effective version or generation, the log's incarnation is the part above these bits. */
const INCARNATION = 2 ** 32;

/**
 * The log's incarnation in which an event was appended: raised when PostgreSQL comes back without its last
 * events, whose numbers are then given out again. `version` is that of an {@link InboxEvent}.
 */
export function incarnationOf(version: number): number {
  return Math.floor(version / INCARNATION);
}

/** An event of an inbox's log, with all that a push of it needs. */
export interface InboxEvent {
  /** The inbox's id: an integer within 2^53. */
  inbox: number;
  /** The event's place in its inbox: 1, 2, 3, … without gaps. */
  seq: number;
  /**
   * The inbox's effective version when the event was appended (see {@link incarnationOf}): a reader with an
   * older one must read the endpoints anew.
   */
  version: number;
  /** What a push and its `webhook-id` carry: the message id for `message.created`, else a uuid v7 of its own. */
  id: string;
  kind: EventKind;
  /** Null for an event without a message; such events carry no content. */
  messageId: string | null;
  conversation: number | null;
  /** When the event was appended, RFC 3339 with milliseconds, UTC. */
  createdAt: string;
  /** The JSON of a `MessageContent`. Empty when it was erased. */
  content: Uint8Array;
  /** What it says beside a message's content, sealed under its id; as the log has it, a broker does not carry it. */
  data?: Uint8Array | null;
  /** The version of the message that it is about; undefined or null for the first. As the log has it, likewise. */
  messageVersion?: number | null;
  /**
   * Whether `content` is sealed by itself, under `messageId` (see `Keyring.contents`): in the log it is; what
   * goes through a broker is sealed there.
   */
  sealed: boolean;
  /**
   * The `traceparent` of the request that it came of, where that had one, and the event comes by the broker:
   * the log does not keep it.
   */
  trace?: string | undefined;
}

/** An event as it travels between processes, which a broker seals. */
export type PlainEvent = InboxEvent & { sealed: false };

/**
 * What goes through the broker: an event, or a wake, which says "read this inbox's endpoints anew from the
 * store, and read on".
 */
export type QueueMessage = ({ type: "event" } & PlainEvent) | { type: "wake"; inbox: number };

/** An ephemeral signal: it goes to streams that are open at that moment, and is stored nowhere. */
export interface LiveSignal {
  kind: "typing" | "presence";
  /** Who types, or is there. */
  userId: number;
  /** Where somebody types; null otherwise. */
  conversation: number | null;
  /** The inbox of who is there: whoever hears of it says the same of themselves; null otherwise. */
  from: number | null;
}

/**
 * Says that an inbox has events up to `seq` (0 where it says nothing of that); what they are is read from the
 * log. Or carries a signal. May be lost or repeated.
 */
export interface LiveNotice {
  inbox: number;
  seq: number;
  signal?: LiveSignal;
}

export const PARTITIONS_DEFAULT = 16;

/** The partition of an inbox: all events of an inbox go through the same queue, which keeps their order. */
export function partitionOf(inbox: number, partitions: number): number {
  return inbox % partitions;
}
