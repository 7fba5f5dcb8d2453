import { type Static, Type } from "typebox";
import { Id, LoginName, SendDate, Seq, Timestamp } from "./fields.ts";
import { type Route, shape } from "./route.ts";

const MESSAGE_ID = "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f";
const UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
export const MessageId = Type.String({ pattern: UUID, description: "A UUID, as the answer to sending it names it." });

/** What one sends. */
export const CONTENT_EXAMPLE = {
  message: "Hello Bob!",
  sender_id: 17,
  sender_username: "ada",
  receiver_id: 23,
  send_date: "2026-11-27T09:30:00Z",
};

export const SendMessage = shape(
  "SendMessage",
  {
    message: Type.String({ minLength: 1, description: "At most `MAX_MESSAGE_BYTES` of UTF-8." }),
    sender_id: Id,
    sender_username: LoginName,
    receiver_id: Id,
    send_date: SendDate,
  },
  CONTENT_EXAMPLE,
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

const version = Type.Integer({ minimum: 1, description: "1 as it was sent; one more for each edit." });

export const MESSAGE_EXAMPLE = {
  message_id: MESSAGE_ID,
  conversation_id: 9,
  ...CONTENT_EXAMPLE,
  version: 1,
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
    version,
    created_at: Timestamp,
  },
  MESSAGE_EXAMPLE,
);
export type Message = Static<typeof Message>;

export const EditMessage = shape(
  "EditMessage",
  { message: Type.String({ minLength: 1, description: "At most `MAX_MESSAGE_BYTES` of UTF-8." }) },
  { message: "Hello Bob, how are you?" },
  { additionalProperties: false },
);
export type EditMessage = Static<typeof EditMessage>;

export const MessageVersions = shape(
  "MessageVersions",
  { versions: Type.Array(Type.Object({ version, message: Type.String(), written_at: Timestamp })) },
  {
    versions: [
      { version: 1, message: "Hello Bob!", written_at: "2026-11-27T09:30:00.412Z" },
      { version: 2, message: "Hello Bob, how are you?", written_at: "2026-11-27T09:30:31.007Z" },
    ],
  },
);

const params = Type.Object({ id: MessageId });

const EDIT = {
  path: "/api/messages/{id}",
  auth: "session",
  tag: "messages",
  summary: "Edit a message of one's own",
  description:
    "Whoever takes part in the conversation gets a `message.edited` event, and can read the versions before. An event that says that it was sent still has the text that was sent.",
  params,
  body: EditMessage,
  answer: { status: 200, description: "The message as it is now.", body: Message },
  problems: ["forbidden", "no_such_message", "too_many_versions"],
} as const satisfies Omit<Route, "method">;

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
    params,
    answer: { status: 200, description: "The message.", body: Message },
    problems: ["no_such_message"],
  },
  replaceMessage: { ...EDIT, method: "PUT" },
  editMessage: { ...EDIT, method: "PATCH" },
  deleteMessage: {
    method: "DELETE",
    path: "/api/messages/{id}",
    auth: "session",
    tag: "messages",
    summary: "Delete a message of one's own",
    description:
      "Its text is gone from the database at once, that of all its versions too; it is not in any history any more, and events that told of it come without it. Whoever takes part in the conversation gets a `message.deleted` event. What was pushed to an address is there.",
    params,
    answer: { status: 204, description: "The message is deleted." },
    problems: ["forbidden", "no_such_message"],
  },
  listVersions: {
    method: "GET",
    path: "/api/messages/{id}/versions",
    auth: "session",
    tag: "messages",
    summary: "Read the versions of a message",
    description: "The first one first; the last one is the message as it is now.",
    params,
    answer: { status: 200, description: "All versions.", body: MessageVersions },
    problems: ["no_such_message"],
  },
} as const satisfies Record<string, Route>;
