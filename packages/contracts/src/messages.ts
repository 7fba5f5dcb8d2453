import { type Static, Type } from "typebox";
import { Id, LoginName, SendDate, Seq, Timestamp } from "./fields.ts";
import { type Route, shape } from "./route.ts";

const MESSAGE_ID = "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f";
const UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
export const MessageId = Type.String({ pattern: UUID, description: "A UUID, as the answer to sending it names it." });

export const SendMessage = shape(
  "SendMessage",
  {
    message: Type.String({ minLength: 1, description: "At most `MAX_MESSAGE_BYTES` of UTF-8." }),
    sender_id: Id,
    sender_username: LoginName,
    receiver_id: Id,
    send_date: SendDate,
  },
  { message: "Hello Bob!", sender_id: 17, sender_username: "ada", receiver_id: 23, send_date: "2026-11-27T09:30:00Z" },
);
export type SendMessage = Static<typeof SendMessage>;

export const AcceptedMessage = shape(
  "AcceptedMessage",
  {
    message_id: Type.String(),
    seq: Seq,
    conversation_id: Id,
    status: Type.Literal("accepted"),
    created_at: Timestamp,
  },
  { message_id: MESSAGE_ID, seq: 4, conversation_id: 9, status: "accepted", created_at: "2026-11-27T09:30:00.412Z" },
);

export const MESSAGE_EXAMPLE = {
  message_id: MESSAGE_ID,
  conversation_id: 9,
  message: "Hello Bob!",
  sender_id: 17,
  sender_username: "ada",
  receiver_id: 23,
  send_date: "2026-11-27T09:30:00Z",
  created_at: "2026-11-27T09:30:00.412Z",
};

export const Message = shape(
  "Message",
  {
    message_id: Type.String(),
    conversation_id: Id,
    message: Type.String(),
    sender_id: Id,
    sender_username: Type.String(),
    receiver_id: Id,
    send_date: Type.String(),
    created_at: Timestamp,
  },
  MESSAGE_EXAMPLE,
);
export type Message = Static<typeof Message>;

export const MESSAGE_ROUTES = {
  sendMessage: {
    method: "POST",
    path: "/api/messages",
    auth: "session",
    tag: "messages",
    summary: "Send a message",
    description:
      "Answered once the message is durable: it is pushed to all addresses of the receiver, in order, and again until each has taken it. With an `Idempotency-Key` a repeat gets the first answer, and no second message.",
    isContract: true,
    headers: Type.Object({
      "idempotency-key": Type.Optional(Type.String({ description: "1 to 255 visible ASCII characters, new for each message." })),
    }),
    body: SendMessage,
    answer: {
      status: 200,
      description: "The message is accepted.",
      body: AcceptedMessage,
      text: "Message processed.",
      headers: { location: { description: "Where the message can be read.", schema: Type.String() } },
    },
    problems: ["not_the_sender", "unknown_receiver", "idempotency_key_reused"],
  },
  readMessage: {
    method: "GET",
    path: "/api/messages/{id}",
    auth: "session",
    tag: "messages",
    summary: "Read a message of one's own conversations",
    description: "For its sender and its receiver; nobody else learns whether it exists.",
    params: Type.Object({ id: MessageId }),
    answer: { status: 200, description: "The message.", body: Message },
    problems: ["no_such_message"],
  },
} as const satisfies Record<string, Route>;
