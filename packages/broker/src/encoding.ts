import {
  KNOWN_KINDS,
  type LiveNotice,
  type LiveSignal,
  parseTraceparent,
  partitionOf,
  type QueueMessage,
  type Sealer,
  SealError,
} from "@messenger/core";

/**
 * How messages look on RabbitMQ: in bundles, one broker message for what is published together to a
 * partition. A broker's cost is that of its messages, and hardly that of their bytes: accepting from 64
 * connections took 0.10 s of RabbitMQ's CPU for 1,000 events one by one, and 0.03 s so. Under a light load,
 * when each event is published alone, a bundle holds one.
 *
 * Layout of a body: the length of the head in bytes (4, big-endian); the head, JSON, a row for each message;
 * the contents of the events, one after the other, sealed together, with the head as their context. To unseal
 * them one by one was a sixth of a sender's CPU time. A row is `[inbox]` for a wake, and `[inbox, seq,
 * version, conversation, kind, id, message id, created at, content's size]` for an event, with its trace
 * behind that, where it has one. What may stand there besides is a later version's, and passed over.
 */
type Row = [inbox: number] | EventRow;
type EventRow = [number, number, number, number | null, string, string, string | null, string, number, trace?: string];

export const BUNDLE_TYPE = "messenger.bundle.1";

const LENGTH_BYTES = 4;
const WAKE_FIELDS = 1;
const EVENT_FIELDS = 9;
const MAX_TEXT = 100;
/**
 * Bundles are kept small, so that a limit on the number of them is one on events and on memory. One event may
 * be larger.
 */
const MAX_MESSAGES = 16;
const MAX_BYTES = 64 * 1024;

/** What goes to a partition's queue as one broker message. */
export interface Bundle {
  partition: number;
  body: Buffer;
  /** How many messages are in it. */
  size: number;
}

function encode(partition: number, messages: readonly QueueMessage[], sealer: Sealer): Bundle {
  const contents: Uint8Array[] = [];
  const rows = messages.map((message): Row => {
    if (message.type === "wake") return [message.inbox];
    const { inbox, seq, version, conversation, kind, id, messageId, createdAt, content, trace } = message;
    contents.push(content);
    const row: EventRow = [inbox, seq, version, conversation, kind, id, messageId, createdAt, content.length];
    if (trace !== undefined) row.push(trace);
    return row;
  });
  const head = JSON.stringify(rows);
  const headBytes = Buffer.byteLength(head);
  const sealed = contents.length === 0 ? Buffer.alloc(0) : sealer.seal(head, Buffer.concat(contents));
  const body = Buffer.allocUnsafe(LENGTH_BYTES + headBytes + sealed.length);
  const headAt = body.writeUInt32BE(headBytes);
  body.write(head, headAt);
  body.set(sealed, headAt + headBytes);
  return { partition, body, size: messages.length };
}

/** Bundles messages for their partitions; in each, they stay in the order given. */
export function bundle(messages: readonly QueueMessage[], partitions: number, sealer: Sealer): Bundle[] {
  const open = new Map<number, { messages: QueueMessage[]; bytes: number }>();
  const bundles: Bundle[] = [];
  for (const message of messages) {
    const partition = partitionOf(message.inbox, partitions);
    const bytes = message.type === "event" ? message.content.length : 0;
    let group = open.get(partition);
    if (group !== undefined && (group.messages.length >= MAX_MESSAGES || group.bytes + bytes > MAX_BYTES)) {
      bundles.push(encode(partition, group.messages, sealer));
      group = undefined;
    }
    if (group === undefined) {
      group = { messages: [], bytes: 0 };
      open.set(partition, group);
    }
    group.messages.push(message);
    group.bytes += bytes;
  }
  for (const [partition, group] of open) bundles.push(encode(partition, group.messages, sealer));
  return bundles;
}

function integer(value: unknown, name: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new TypeError(`${name} is not an integer`);
  return value;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string" || value === "" || value.length > MAX_TEXT) throw new TypeError(`${name} is not a string`);
  return value;
}

interface Opened {
  messages: QueueMessage[];
  /**
   * Why the contents could not be unsealed: then `messages` holds a wake for each event, and what they say is
   * read from the log.
   */
  error: SealError | undefined;
}

/**
 * Reads a bundle. The contents are parts of one buffer.
 * @throws {TypeError} when it is none of ours, or has a message for another partition than the one it came by.
 */
export function unbundle(
  type: unknown,
  body: Buffer,
  { partition, partitions, sealer }: { partition: number; partitions: number; sealer: Sealer },
): Opened {
  if (type !== BUNDLE_TYPE) throw new TypeError("type is unknown");
  if (body.length < LENGTH_BYTES) throw new TypeError("the bundle is cut short");
  const headEnd = LENGTH_BYTES + body.readUInt32BE();
  if (headEnd > body.length) throw new TypeError("the bundle is cut short");
  const head = body.toString("utf8", LENGTH_BYTES, headEnd);
  let rows: unknown;
  try {
    rows = JSON.parse(head);
  } catch (error) {
    throw new TypeError("the bundle's head is not JSON", { cause: error });
  }
  if (!Array.isArray(rows)) throw new TypeError("the bundle's head is not a list");
  const hasEvents = rows.some((row) => Array.isArray(row) && row.length >= EVENT_FIELDS);
  const rest = body.subarray(headEnd);
  const { contents, error } = hasEvents ? unsealContents(sealer, head, rest) : { contents: rest, error: undefined };
  let contentAt = 0;
  const messages = rows.map((row: unknown): QueueMessage => {
    if (!Array.isArray(row) || (row.length !== WAKE_FIELDS && row.length < EVENT_FIELDS))
      throw new TypeError("a row is malformed");
    const inbox = integer(row[0], "inbox");
    if (partitionOf(inbox, partitions) !== partition) throw new TypeError("the inbox is of another partition");
    if (row.length === WAKE_FIELDS) return { type: "wake", inbox };
    const kind = text(row[4], "kind");
    const start = contentAt;
    contentAt += integer(row[8], "size");
    // A kind of a later version is read from the log, as are contents that cannot be unsealed.
    if (contents === undefined || !KNOWN_KINDS.has(kind)) return { type: "wake", inbox };
    return {
      type: "event",
      kind,
      inbox,
      seq: integer(row[1], "seq"),
      version: integer(row[2], "version"),
      conversation: row[3] === null ? null : integer(row[3], "conversation"),
      id: text(row[5], "id"),
      messageId: row[6] === null ? null : text(row[6], "message id"),
      createdAt: text(row[7], "created at"),
      content: contents.subarray(start, contentAt),
      sealed: false,
      trace: row[9] == null ? undefined : parseTraceparent(text(row[9], "trace")),
    };
  });
  if (contents !== undefined && contentAt !== contents.length)
    throw new TypeError("the contents are not as long as the head says");
  return { messages, error };
}

function unsealContents(sealer: Sealer, head: string, sealed: Buffer): { contents?: Buffer; error: SealError | undefined } {
  try {
    return { contents: sealer.unseal(head, sealed), error: undefined };
  } catch (error) {
    if (error instanceof SealError) return { error };
    throw error;
  }
}

/**
 * Notices travel together, too: `[[inbox, seq], …]`, or `[inbox, seq, kind, user, conversation, from]` for a
 * signal.
 */
export function encodeNotices(notices: readonly LiveNotice[]): Buffer {
  const rows = notices.map(({ inbox, seq, signal }) =>
    signal === undefined ? [inbox, seq] : [inbox, seq, signal.kind, signal.userId, signal.conversation, signal.from],
  );
  return Buffer.from(JSON.stringify(rows));
}

const SIGNALS: ReadonlySet<unknown> = new Set<LiveSignal["kind"]>(["typing", "presence"]);

/** Undefined where there is none, or one of a later version. */
function decodeSignal([, , kind, userId, conversation, from]: readonly unknown[]): LiveSignal | undefined {
  if (!SIGNALS.has(kind)) return undefined;
  return {
    kind: kind as LiveSignal["kind"],
    userId: integer(userId, "user"),
    conversation: conversation === null ? null : integer(conversation, "conversation"),
    from: from === null ? null : integer(from, "inbox"),
  };
}

/** @throws {TypeError} when they are none of ours. */
export function decodeNotices(body: Buffer): LiveNotice[] {
  const rows: unknown = JSON.parse(body.toString());
  if (!Array.isArray(rows)) throw new TypeError("notices are not a list");
  return rows.map((row: unknown) => {
    if (!Array.isArray(row)) throw new TypeError("a notice is malformed");
    const notice = { inbox: integer(row[0], "inbox"), seq: integer(row[1], "seq") };
    const signal = decodeSignal(row);
    return signal === undefined ? notice : { ...notice, signal };
  });
}
