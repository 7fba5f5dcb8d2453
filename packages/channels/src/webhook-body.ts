import { fieldsOf, readContent } from "@messenger/core";
import type { Push } from "./channel.ts";

type Pushed = Pick<Push, "event" | "content" | "data" | "receiver">;

/** What happened, without what was written. */
function composeThin({ event }: Pushed): Buffer {
  const { kind, id, seq, createdAt, conversation, messageId } = event;
  const body = { type: kind, id, seq, timestamp: createdAt, conversation_id: conversation, message_id: messageId };
  return Buffer.from(JSON.stringify(body));
}

/**
 * The content's JSON object, as bytes that are not parsed again, with the event's own fields added at its end,
 * and that of the receiver where the content has none.
 */
function composeMessage({ event, content, receiver }: Pushed): Buffer {
  const { fields, isToGroup } = fieldsOf(content);
  const own =
    `${isToGroup ? `,"receiver_id":${receiver}` : ""},"type":"${event.kind}","id":"${event.id}","seq":${event.seq},` +
    `"timestamp":"${event.createdAt}","conversation_id":${event.conversation}}`;
  const body = Buffer.allocUnsafe(1 + fields.length + own.length);
  body[0] = 0x7b;
  body.set(fields, 1);
  body.write(own, 1 + fields.length, "latin1");
  return body;
}

/** The same fields that the event has where it is pulled. */
function composeOther({ event, content, data, receiver }: Pushed): Buffer {
  const { kind, id, seq, createdAt, conversation, messageId, messageVersion } = event;
  const message =
    content.length === 0 ? undefined : { receiver_id: receiver, ...readContent(content), version: messageVersion ?? 1 };
  const own = { type: kind, id, seq, timestamp: createdAt, conversation_id: conversation, message_id: messageId };
  return Buffer.from(JSON.stringify({ ...message, ...data, ...own }));
}

/** The body of a push to a webhook: a JSON object. The same push always has the same bytes. */
export function composeBody(pushed: Pushed, isThin = false): Buffer {
  // What is about the endpoint itself, nobody wrote.
  if (isThin && !pushed.event.kind.startsWith("endpoint.")) return composeThin(pushed);
  return pushed.event.kind === "message.created" ? composeMessage(pushed) : composeOther(pushed);
}
