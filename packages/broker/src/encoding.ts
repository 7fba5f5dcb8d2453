import { type EventKind, type LiveNotice, partitionOf, type QueueMessage } from "@messenger/core";

/**
 * How messages look on RabbitMQ: in bundles, one broker message for what is published together to a partition. A broker's cost is that of its
 * messages, and hardly that of their bytes: accepting from 64 connections took 0.10 s of RabbitMQ's CPU for 1,000 events one by one, and 0.03 s so. Under
 * a light load, when each event is published alone, a bundle holds one.
 *
 * Layout of a body: the length of the head in bytes (4, big-endian); the head, JSON, a row for each message; the contents of the events, one
 * after the other, sealed as they are. A row is `[inbox]` for a wake, and `[inbox, seq, version, conversation, kind, id, message id, created at,
 * content's size]` for an event.
 */
type Row = [inbox: number] | [number, number, number, number, string, string, string, string, number];

export const BUNDLE_TYPE = "messenger.bundle.1";

const LENGTH_BYTES = 4;
const WAKE_FIELDS = 1;
const EVENT_FIELDS = 9;
const MAX_TEXT = 100;
/** Bundles are kept small, so that a limit on the number of them is one on events and on memory. One event may be larger. */
const MAX_MESSAGES = 16;
const MAX_BYTES = 64 * 1024;
const KINDS: ReadonlySet<string> = new Set<EventKind>(["message.created", "message.sent"]);

/** What goes to a partition's queue as one broker message. */
export interface Bundle {
  partition: number;
  body: Buffer;
  /** How many messages are in it. */
  size: number;
}

function encode(partition: number, messages: readonly QueueMessage[]): Bundle {
  const contents: Uint8Array[] = [];
  const rows = messages.map((message): Row => {
    if (message.type === "wake") return [message.inbox];
    const { inbox, seq, version, conversation, kind, id, messageId, createdAt, content } = message;
    contents.push(content);
    return [inbox, seq, version, conversation, kind, id, messageId, createdAt, content.length];
  });
  const head = JSON.stringify(rows);
  const headBytes = Buffer.byteLength(head);
  const body = Buffer.allocUnsafe(LENGTH_BYTES + headBytes + contents.reduce((sum, content) => sum + content.length, 0));
  let at = body.writeUInt32BE(headBytes);
  at += body.write(head, at);
  for (const content of contents) {
    body.set(content, at);
    at += content.length;
  }
  return { partition, body, size: messages.length };
}

/** Bundles messages for their partitions; in each, they stay in the order given. */
export function bundle(messages: readonly QueueMessage[], partitions: number): Bundle[] {
  const open = new Map<number, { messages: QueueMessage[]; bytes: number }>();
  const bundles: Bundle[] = [];
  for (const message of messages) {
    const partition = partitionOf(message.inbox, partitions);
    const bytes = message.type === "event" ? message.content.length : 0;
    let group = open.get(partition);
    if (group !== undefined && (group.messages.length >= MAX_MESSAGES || group.bytes + bytes > MAX_BYTES)) {
      bundles.push(encode(partition, group.messages));
      group = undefined;
    }
    if (group === undefined) {
      group = { messages: [], bytes: 0 };
      open.set(partition, group);
    }
    group.messages.push(message);
    group.bytes += bytes;
  }
  for (const [partition, group] of open) bundles.push(encode(partition, group.messages));
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

/**
 * Reads a bundle. The contents are parts of `body`.
 * @throws {TypeError} when it is none of ours, or has a message for another partition than the one it came by.
 */
export function unbundle(type: unknown, body: Buffer, at: { partition: number; partitions: number }): QueueMessage[] {
  if (type !== BUNDLE_TYPE) throw new TypeError("type is unknown");
  if (body.length < LENGTH_BYTES) throw new TypeError("the bundle is cut short");
  const headEnd = LENGTH_BYTES + body.readUInt32BE();
  if (headEnd > body.length) throw new TypeError("the bundle is cut short");
  let rows: unknown;
  try {
    rows = JSON.parse(body.toString("utf8", LENGTH_BYTES, headEnd));
  } catch (error) {
    throw new TypeError("the bundle's head is not JSON", { cause: error });
  }
  if (!Array.isArray(rows)) throw new TypeError("the bundle's head is not a list");
  let contentAt = headEnd;
  const messages = rows.map((row: unknown): QueueMessage => {
    if (!Array.isArray(row) || (row.length !== WAKE_FIELDS && row.length !== EVENT_FIELDS))
      throw new TypeError("a row is malformed");
    const inbox = integer(row[0], "inbox");
    if (partitionOf(inbox, at.partitions) !== at.partition) throw new TypeError("the inbox is of another partition");
    if (row.length === WAKE_FIELDS) return { type: "wake", inbox };
    const kind = text(row[4], "kind");
    if (!KINDS.has(kind)) throw new TypeError("kind is unknown");
    const end = contentAt + integer(row[8], "size");
    if (end > body.length) throw new TypeError("the bundle is cut short");
    const content = body.subarray(contentAt, end);
    contentAt = end;
    return {
      type: "event",
      kind: kind as EventKind,
      inbox,
      seq: integer(row[1], "seq"),
      version: integer(row[2], "version"),
      conversation: integer(row[3], "conversation"),
      id: text(row[5], "id"),
      messageId: text(row[6], "message id"),
      createdAt: text(row[7], "created at"),
      content,
    };
  });
  if (contentAt !== body.length) throw new TypeError("the bundle is longer than it says");
  return messages;
}

/** Notices travel together, too: `[[inbox, seq], …]`. */
export function encodeNotices(notices: readonly LiveNotice[]): Buffer {
  return Buffer.from(JSON.stringify(notices.map(({ inbox, seq }) => [inbox, seq])));
}

/** @throws {TypeError} when they are none of ours. */
export function decodeNotices(body: Buffer): LiveNotice[] {
  const rows: unknown = JSON.parse(body.toString());
  if (!Array.isArray(rows)) throw new TypeError("notices are not a list");
  return rows.map((row: unknown) => {
    if (!Array.isArray(row)) throw new TypeError("a notice is malformed");
    return { inbox: integer(row[0], "inbox"), seq: integer(row[1], "seq") };
  });
}
