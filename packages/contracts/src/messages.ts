import { type Static, Type } from "typebox";
import { Id, LoginName, SendDate, Seq, Timestamp } from "./fields.ts";
import { pageFields, pageQuery } from "./pages.ts";
import { type Route, shape } from "./route.ts";

export const MESSAGE_ID = "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f";
const UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
export const MessageId = Type.String({ pattern: UUID, description: "A UUID, as the answer to sending it names it." });

const replyTo = Type.String({ pattern: UUID, description: "The message of this conversation that it answers." });

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
    reply_to: Type.Optional(replyTo),
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
  reactions: [{ emoji: "👍", count: 1, mine: false }],
};

/** What the content of a message to a group does not have, and any other has. */
export const receiverId = Type.Integer({
  ...Id,
  description: "Whom it is for; absent in a group, where it is for everybody else.",
});

export const Message = shape(
  "Message",
  {
    message_id: Type.String(),
    conversation_id: Id,
    message: Type.String(),
    sender_id: Id,
    sender_username: Type.String(),
    receiver_id: Type.Optional(receiverId),
    send_date: Type.String(),
    reply_to: Type.Optional(replyTo),
    version,
    created_at: Timestamp,
    reactions: Type.Array(
      Type.Object({
        emoji: Type.String(),
        count: Type.Integer({ minimum: 1 }),
        mine: Type.Boolean({ description: "Whether one's own is among them." }),
      }),
      { description: "Ordered by their code points." },
    ),
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

export const SendToConversation = shape(
  "SendToConversation",
  {
    message: Type.String({ minLength: 1, description: "At most `MAX_MESSAGE_BYTES` of UTF-8." }),
    send_date: Type.Optional(SendDate),
    reply_to: Type.Optional(replyTo),
  },
  { message: "Hello all!" },
  { additionalProperties: false },
);
export type SendToConversation = Static<typeof SendToConversation>;

/** Of what can be repeated. */
export const idempotencyKey = Type.Object({
  "idempotency-key": Type.Optional(Type.String({ description: "1 to 255 visible ASCII characters, new for each request." })),
});

export const MessagePage = shape(
  "MessagePage",
  { messages: Type.Array(Message), ...pageFields },
  { messages: [MESSAGE_EXAMPLE], next_cursor: "MTc2NDIzNTgwMDQxMjAwMC4wMTk3ZjNhMg", seq: 4 },
);

export const Deliveries = shape(
  "Deliveries",
  {
    deliveries: Type.Array(
      Type.Object({
        user_id: Id,
        state: Type.Union(
          [
            Type.Literal("held"),
            Type.Literal("queued"),
            Type.Literal("retrying"),
            Type.Literal("failed"),
            Type.Literal("delivered"),
          ],
          {
            description:
              "`delivered` once one of their addresses took it; `failed` where one refused it for good, and none took it; `retrying` where one did not take it yet, and is tried again; `queued` before the first try; `held` where they have no address, and read it themselves.",
          },
        ),
        retry_at: Type.Union([Timestamp, Type.Null()], { description: "Of `retrying`: when it is tried next." }),
        read: Type.Union([Type.Boolean(), Type.Null()], {
          description: "Whether they have read up to it, or beyond; null where they do not let others know.",
        }),
      }),
    ),
  },
  { deliveries: [{ user_id: 23, state: "retrying", retry_at: "2026-11-27T09:31:00.000Z", read: false }] },
);
export type Deliveries = Static<typeof Deliveries>;

const params = Type.Object({ id: MessageId });
const reactionParams = Type.Object({
  id: MessageId,
  emoji: Type.String({ minLength: 1, maxLength: 40, description: "One emoji, as Unicode recommends it (UTS #51)." }),
});

const EDIT = {
  path: "/api/messages/{id}",
  limit: "edit",
  auth: "session",
  scope: "messages:send",
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
    scope: "messages:send",
    limit: "send",
    method: "POST",
    path: "/api/messages",
    auth: "session",
    tag: "messages",
    summary: "Send a message",
    description:
      "Answered once the message is durable: it is pushed to all addresses of the receiver, in order, and again until each has taken it. With an `Idempotency-Key` a repeat gets the first answer, and no second message.",
    isContract: true,
    headers: idempotencyKey,
    body: SendMessage,
    answer: {
      status: 200,
      description: "The message is accepted.",
      body: AcceptedMessage,
      text: "Message processed.",
      headers: { location: { description: "Where the message can be read.", schema: Type.String() } },
    },
    problems: ["not_the_sender", "unknown_receiver", "no_such_message", "idempotency_key_reused"],
  },
  listOwnMessages: {
    scope: "messages:read",
    method: "GET",
    path: "/api/messages",
    auth: "session",
    tag: "messages",
    summary: "List the messages of all one's conversations",
    description: "What one sent and what one received, the newest first.",
    query: Type.Object(
      {
        since: Type.Optional(Type.String({ format: "date-time", maxLength: 40, description: "From then on." })),
        until: Type.Optional(Type.String({ format: "date-time", maxLength: 40, description: "Before then." })),
        ...pageQuery,
      },
      { additionalProperties: false },
    ),
    answer: { status: 200, description: "A page of messages.", body: MessagePage },
    problems: [],
  },
  readMessage: {
    scope: "messages:read",
    method: "GET",
    path: "/api/messages/{id}",
    auth: "session",
    tag: "messages",
    summary: "Read a message of one's own conversations",
    description: "For those who take part in its conversation; nobody else learns whether it exists.",
    params,
    answer: { status: 200, description: "The message.", body: Message },
    problems: ["no_such_message"],
  },
  replaceMessage: { ...EDIT, method: "PUT" },
  editMessage: { ...EDIT, method: "PATCH" },
  deleteMessage: {
    scope: "messages:send",
    limit: "edit",
    method: "DELETE",
    path: "/api/messages/{id}",
    auth: "session",
    tag: "messages",
    summary: "Delete a message",
    description:
      "One's own; as an owner or admin of a group, any of it. Its text is gone from the database at once, that of all its versions too; it is not in any history any more, and events that told of it come without it. Whoever takes part in the conversation gets a `message.deleted` event. What was pushed to an address is there.",
    params,
    answer: { status: 204, description: "The message is deleted." },
    problems: ["forbidden", "no_such_message"],
  },
  listVersions: {
    scope: "messages:read",
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
  listDeliveries: {
    scope: "messages:read",
    method: "GET",
    path: "/api/messages/{id}/deliveries",
    auth: "session",
    tag: "messages",
    summary: "See what became of a message that one sent",
    description: "For each of those it was for; not by which address, nor why one did not take it: that is for its owner.",
    params,
    answer: { status: 200, description: "A state for each recipient.", body: Deliveries },
    problems: ["forbidden", "no_such_message"],
  },
  addReaction: {
    scope: "messages:send",
    limit: "edit",
    method: "PUT",
    path: "/api/messages/{id}/reactions/{emoji}",
    auth: "session",
    tag: "messages",
    summary: "React to a message",
    description: "One's reaction of this kind is there afterwards, once. Whoever takes part gets a `reaction.added` event.",
    params: reactionParams,
    answer: { status: 204, description: "The reaction is there." },
    problems: ["no_such_message", "too_many_reactions"],
  },
  removeReaction: {
    scope: "messages:send",
    limit: "edit",
    method: "DELETE",
    path: "/api/messages/{id}/reactions/{emoji}",
    auth: "session",
    tag: "messages",
    summary: "Take back a reaction",
    description: "Whoever takes part gets a `reaction.removed` event.",
    params: reactionParams,
    answer: { status: 204, description: "One's reaction of this kind is not there." },
    problems: ["no_such_message"],
  },
} as const satisfies Record<string, Route>;
