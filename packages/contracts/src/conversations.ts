import { type Static, Type } from "typebox";
import { Id, Timestamp } from "./fields.ts";
import { Message, MESSAGE_EXAMPLE, MessageId } from "./messages.ts";
import { pageFields, pageQuery } from "./pages.ts";
import { type Route, shape } from "./route.ts";

const SMALL_BYTES = 4 * 1024;

const CONVERSATION_EXAMPLE = {
  conversation_id: 9,
  kind: "direct" as const,
  with: { user_id: 17, username: "ada", full_name: null },
  last_message: MESSAGE_EXAMPLE,
  last_activity_at: MESSAGE_EXAMPLE.created_at,
  unread: 1,
  read_message_id: null,
};

const conversation = {
  conversation_id: Id,
  kind: Type.Literal("direct"),
  with: Type.Union(
    [
      Type.Object({
        user_id: Id,
        username: Type.Union([Type.String(), Type.Null()]),
        full_name: Type.Union([Type.String(), Type.Null()]),
      }),
      Type.Null(),
    ],
    { description: "The other one; null once the account was deleted." },
  ),
  last_message: Message,
  last_activity_at: Timestamp,
  unread: Type.Integer({
    minimum: 0,
    maximum: 100,
    description: "Messages of others after the read marker; 100 stands for more, too.",
  }),
  read_message_id: Type.Union([Type.String(), Type.Null()], {
    description: "The read marker: the last message that one has read.",
  }),
};

export const Conversation = shape("Conversation", conversation, CONVERSATION_EXAMPLE);
export type Conversation = Static<typeof Conversation>;

export const ReadConversation = shape(
  "ReadConversation",
  { conversation: Conversation, seq: pageFields.seq },
  { conversation: CONVERSATION_EXAMPLE, seq: 4 },
);

export const ConversationPage = shape(
  "ConversationPage",
  { conversations: Type.Array(Conversation), ...pageFields },
  { conversations: [CONVERSATION_EXAMPLE], next_cursor: null, seq: 4 },
);

export const MessagePage = shape(
  "MessagePage",
  { messages: Type.Array(Message), ...pageFields },
  { messages: [MESSAGE_EXAMPLE], next_cursor: "MTc2NDIzNTgwMDQxMjAwMC4wMTk3ZjNhMg", seq: 4 },
);

export const MarkRead = shape(
  "MarkRead",
  { message_id: MessageId },
  { message_id: MESSAGE_EXAMPLE.message_id },
  { additionalProperties: false },
);
export type MarkRead = Static<typeof MarkRead>;

export const MarkedRead = shape(
  "MarkedRead",
  { read_message_id: Type.String(), unread: conversation.unread },
  { read_message_id: MESSAGE_EXAMPLE.message_id, unread: 0 },
);

const params = Type.Object({ id: Type.Integer({ ...Id, description: "The conversation's id." }) });

export const CONVERSATION_ROUTES = {
  listConversations: {
    method: "GET",
    path: "/api/conversations",
    auth: "session",
    tag: "conversations",
    summary: "List one's conversations",
    description: "The one with the newest message comes first. One that has no message yet is not in the list.",
    query: Type.Object(pageQuery, { additionalProperties: false }),
    answer: { status: 200, description: "A page of conversations.", body: ConversationPage },
    problems: [],
  },
  readConversation: {
    method: "GET",
    path: "/api/conversations/{id}",
    auth: "session",
    tag: "conversations",
    summary: "Read a conversation",
    description: "As the list has it.",
    params,
    answer: { status: 200, description: "The conversation.", body: ReadConversation },
    problems: ["no_such_conversation"],
  },
  listMessages: {
    method: "GET",
    path: "/api/conversations/{id}/messages",
    auth: "session",
    tag: "conversations",
    summary: "Read the history of a conversation",
    description:
      "The newest message comes first, or the oldest with `order=oldest`. A page of a list that grows meanwhile neither repeats nor misses what was there.",
    params,
    query: Type.Object(
      {
        order: Type.Optional(
          Type.Union([Type.Literal("newest"), Type.Literal("oldest")], { description: "What comes first; newest if not given." }),
        ),
        ...pageQuery,
      },
      { additionalProperties: false },
    ),
    answer: { status: 200, description: "A page of messages.", body: MessagePage },
    problems: ["no_such_conversation"],
  },
  markRead: {
    method: "POST",
    path: "/api/conversations/{id}/read",
    auth: "session",
    tag: "conversations",
    summary: "Mark a conversation as read up to a message",
    description:
      "The marker only moves forward: an earlier message than the one it is at leaves it there. Whoever takes part gets a `receipt.read` event, one's other sessions too.",
    params,
    body: MarkRead,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "Where the marker is now.", body: MarkedRead },
    problems: ["no_such_conversation", "no_such_message"],
  },
} as const satisfies Record<string, Route>;
