import type { InboxEvent } from "./event.ts";

/** What a client sent, as it is sealed: the first part of a push's body. */
export interface MessageContent {
  message: string;
  sender_id: number;
  sender_username: string;
  receiver_id: number;
  /** As it came. */
  send_date: string;
}

/**
 * The body of a push: the content's JSON object, as bytes that are not parsed again, with the event's own fields added at its end.
 * `content` is the unsealed JSON of a {@link MessageContent}.
 */
export function composePush(content: Uint8Array, event: InboxEvent): Buffer {
  const closing = content.length - 1;
  if (content[closing] !== 0x7d) throw new Error("the content is not a JSON object");
  const own =
    `,"type":"${event.kind}","id":"${event.id}","seq":${event.seq},` +
    `"timestamp":"${event.createdAt}","conversation_id":${event.conversation}}`;
  const body = Buffer.allocUnsafe(closing + own.length);
  body.set(content.subarray(0, closing));
  body.write(own, closing, "latin1");
  return body;
}
