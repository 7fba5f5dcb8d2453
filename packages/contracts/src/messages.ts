import { type Static, Type } from "typebox";
import { Id, LoginName, SendDate, Seq, Timestamp } from "./fields.ts";

export const SendMessageBody = Type.Object({
  /** At most `MAX_MESSAGE_BYTES` of UTF-8. */
  message: Type.String({ minLength: 1 }),
  sender_id: Id,
  sender_username: LoginName,
  receiver_id: Id,
  send_date: SendDate,
});
export type SendMessageBody = Static<typeof SendMessageBody>;

export const SendMessageAnswer = Type.Object({
  message_id: Type.String(),
  seq: Seq,
  conversation_id: Id,
  status: Type.Literal("accepted"),
  created_at: Timestamp,
});

export const MessageAnswer = Type.Object({
  message_id: Type.String(),
  conversation_id: Id,
  message: Type.String(),
  sender_id: Id,
  sender_username: Type.String(),
  receiver_id: Id,
  send_date: Type.String(),
  created_at: Timestamp,
});
