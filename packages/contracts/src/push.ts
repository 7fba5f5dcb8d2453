import { type Static, Type } from "typebox";
import { Id, SendDate, Seq, Timestamp } from "./fields.ts";
import { CONTENT_EXAMPLE, MESSAGE_EXAMPLE } from "./messages.ts";
import { shape } from "./route.ts";

/** The body of a push to a webhook. `id` is also the `webhook-id`: a repeat carries the same one. */
export const PushBody = shape(
  "Push",
  {
    message: Type.String(),
    sender_id: Id,
    sender_username: Type.String(),
    receiver_id: Id,
    send_date: SendDate,
    reply_to: Type.Optional(Type.String({ description: "The message that it answers." })),
    type: Type.String({
      description: "What happened. An endpoint gets `message.created`, and the other kinds that its owner asks for.",
    }),
    id: Type.String({ description: "Of the event; a repeat carries the same one, as does the header `webhook-id`." }),
    seq: Seq,
    timestamp: Timestamp,
    conversation_id: Id,
  },
  {
    ...CONTENT_EXAMPLE,
    type: "message.created",
    id: MESSAGE_EXAMPLE.message_id,
    seq: 4,
    timestamp: MESSAGE_EXAMPLE.created_at,
    conversation_id: 9,
  },
);
export type PushBody = Static<typeof PushBody>;
