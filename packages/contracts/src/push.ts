import { type Static, Type } from "typebox";
import { Id, SendDate, Seq, Timestamp } from "./fields.ts";

/** The body of a push to a webhook. `id` is also the `webhook-id`: a repeat carries the same one. */
export const PushBody = Type.Object({
  message: Type.String(),
  sender_id: Id,
  sender_username: Type.String(),
  receiver_id: Id,
  send_date: SendDate,
  type: Type.String(),
  id: Type.String(),
  seq: Seq,
  timestamp: Timestamp,
  conversation_id: Id,
});
export type PushBody = Static<typeof PushBody>;
