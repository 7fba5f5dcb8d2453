import { type Static, Type } from "typebox";
import { Id, SendDate, Seq, Timestamp } from "./fields.ts";
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
    type: Type.String({ description: "What happened: `message.created`. There will be more: pass over those you do not know." }),
    id: Type.String({ description: "Of the event; a repeat carries the same one, as does the header `webhook-id`." }),
    seq: Seq,
    timestamp: Timestamp,
    conversation_id: Id,
  },
  {
    message: "Hello Bob!",
    sender_id: 17,
    sender_username: "ada",
    receiver_id: 23,
    send_date: "2026-11-27T09:30:00Z",
    type: "message.created",
    id: "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f",
    seq: 4,
    timestamp: "2026-11-27T09:30:00.412Z",
    conversation_id: 9,
  },
);
export type PushBody = Static<typeof PushBody>;
