import { type EventKind, type LiveNotice, partitionOf, type QueueMessage } from "@messenger/core";
import type { MessageProperties, Options } from "amqplib";

const KINDS: ReadonlySet<string> = new Set<EventKind>(["message.created", "message.sent"]);

/**
 * How messages look on RabbitMQ. What a sender needs to place an event is in the properties; the body is the sealed content, which is
 * passed through as it is.
 */
export function encode(message: QueueMessage): { body: Buffer; properties: Options.Publish } {
  if (message.type === "wake") {
    return { body: Buffer.alloc(0), properties: { type: "wake", headers: { inbox: message.inbox } } };
  }
  const { content, inbox, seq, version, conversation, messageId, createdAt } = message;
  return {
    body: Buffer.from(content.buffer, content.byteOffset, content.byteLength),
    properties: {
      type: message.kind,
      messageId: message.id,
      headers: { inbox, seq, version, conversation, message: messageId, at: createdAt },
    },
  };
}

function integer(value: unknown, name: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new TypeError(`${name} is not an integer`);
  return value;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string" || value === "" || value.length > 100) throw new TypeError(`${name} is not a string`);
  return value;
}

/** @throws {TypeError} when the message is none of ours, or is for another partition than the one it came by. */
export function decode(properties: MessageProperties, body: Buffer, at: { partition: number; partitions: number }): QueueMessage {
  const headers: Record<string, unknown> = properties.headers ?? {};
  const inbox = integer(headers["inbox"], "inbox");
  if (partitionOf(inbox, at.partitions) !== at.partition) throw new TypeError("the inbox is of another partition");
  const type: unknown = properties.type;
  if (type === "wake") return { type: "wake", inbox };
  if (typeof type !== "string" || !KINDS.has(type)) throw new TypeError("type is unknown");
  return {
    type: "event",
    kind: type as EventKind,
    inbox,
    seq: integer(headers["seq"], "seq"),
    version: integer(headers["version"], "version"),
    conversation: integer(headers["conversation"], "conversation"),
    id: text(properties.messageId, "message id"),
    messageId: text(headers["message"], "message"),
    createdAt: text(headers["at"], "at"),
    content: body,
  };
}

export function decodeNotice(properties: MessageProperties): LiveNotice {
  const headers: Record<string, unknown> = properties.headers ?? {};
  return { inbox: integer(headers["inbox"], "inbox"), seq: integer(headers["seq"], "seq") };
}
