import { type Static, Type } from "typebox";
import { Id, Timestamp } from "./fields.ts";
import { idempotencyKey, Message, MESSAGE_EXAMPLE, MessageId, MessagePage, SendToConversation } from "./messages.ts";
import { pageFields, pageQuery } from "./pages.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";

export const Role = Type.Union([Type.Literal("owner"), Type.Literal("admin"), Type.Literal("member")], {
  description:
    "Admins add, remove and ban members, make invites, change the title, and delete any message. Owners also change roles.",
});
export type Role = Static<typeof Role>;
export const Title = Type.String({ minLength: 1, maxLength: 100, description: "Of a group." });

export const PREFERENCES = {
  muted: Type.Boolean({ description: "One's clients make no noise." }),
  archived: Type.Boolean({ description: "One's clients put it aside." }),
  pinned: Type.Boolean({ description: "One's clients show it first." }),
};
const PREFERENCES_EXAMPLE = { muted: false, archived: false, pinned: true };

const keepDays = Type.Integer({ minimum: 1, maximum: 3650 });

const CONVERSATION_EXAMPLE = {
  conversation_id: 9,
  kind: "direct" as const,
  with: { user_id: 17, username: "ada", full_name: null },
  group: null,
  last_message: MESSAGE_EXAMPLE,
  last_activity_at: MESSAGE_EXAMPLE.created_at,
  unread: 1,
  read_message_id: null,
  is_request: false,
  keep_days: null,
  preferences: PREFERENCES_EXAMPLE,
};

const conversation = {
  conversation_id: Id,
  kind: Type.Union([Type.Literal("direct"), Type.Literal("group")]),
  with: Type.Union(
    [
      Type.Object({
        user_id: Id,
        username: Type.Union([Type.String(), Type.Null()]),
        full_name: Type.Union([Type.String(), Type.Null()]),
      }),
      Type.Null(),
    ],
    { description: "Of a direct conversation: the other one; null once the account was deleted." },
  ),
  group: Type.Union(
    [
      Type.Object({
        title: Title,
        role: Role,
        members: Type.Integer({ minimum: 1, description: "How many take part." }),
      }),
      Type.Null(),
    ],
    { description: "Null for a direct conversation." },
  ),
  last_message: Type.Union([Message, Type.Null()], { description: "Null where there is none that one can read." }),
  last_activity_at: Type.Union([Timestamp, Type.Null()], {
    description: "When the last message was written, or, in a group without any, one joined.",
  }),
  unread: Type.Integer({
    minimum: 0,
    maximum: 100,
    description: "Messages of others after the read marker; 100 stands for more, too.",
  }),
  read_message_id: Type.Union([Type.String(), Type.Null()], {
    description: "The read marker: the last message that one has read.",
  }),
  is_request: Type.Boolean({ description: "Whether a stranger began it, whom one has not accepted." }),
  keep_days: Type.Union([keepDays, Type.Null()], { description: "For how many days messages are kept; null for ever." }),
  preferences: Type.Object(PREFERENCES),
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

export const OpenConversation = shape(
  "OpenConversation",
  {
    user_id: Type.Optional(Type.Integer({ ...Id, description: "With whom; then nothing else is given." })),
    title: Type.Optional(Title),
    member_ids: Type.Optional(
      Type.Array(Id, { maxItems: 255, uniqueItems: true, description: "Who takes part in the group besides oneself." }),
    ),
  },
  { title: "Engines", member_ids: [17, 23] },
  { additionalProperties: false, description: "Either `user_id`, or `title`, and `member_ids` if there are any." },
);
export type OpenConversation = Static<typeof OpenConversation>;

export const ChangeConversation = shape(
  "ChangeConversation",
  { title: Title },
  { title: "Analytical engines" },
  { additionalProperties: false },
);

export const KeepMessages = shape(
  "KeepMessages",
  { keep_days: Type.Union([keepDays, Type.Null()], { description: "Null for ever, or as long as the deployment does." }) },
  { keep_days: 30 },
  { additionalProperties: false },
);

export const ChangePreferences = shape(
  "ChangePreferences",
  {
    muted: Type.Optional(PREFERENCES.muted),
    archived: Type.Optional(PREFERENCES.archived),
    pinned: Type.Optional(PREFERENCES.pinned),
  },
  PREFERENCES_EXAMPLE,
  { additionalProperties: false, minProperties: 1, description: "What is not given stays as it is." },
);
export type ChangePreferences = Static<typeof ChangePreferences>;

export const ChangedPreferences = shape("Preferences", PREFERENCES, PREFERENCES_EXAMPLE);

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

export const conversationParam = { id: Type.Integer({ ...Id, description: "The conversation's id." }) };
const params = Type.Object(conversationParam);

export const CONVERSATION_ROUTES = {
  listConversations: {
    scope: "messages:read",
    method: "GET",
    path: "/api/conversations",
    auth: "session",
    tag: "conversations",
    summary: "List one's conversations",
    description:
      "The one that was last active comes first. A direct one without messages is not in the list: read it by its id once an event tells of one. A group is, from the moment when one joins.",
    query: Type.Object(
      {
        archived: Type.Optional(
          Type.Boolean({ description: "Only those that are archived, or that are not; all if not given." }),
        ),
        requests: Type.Optional(
          Type.Boolean({
            description:
              "Those of strangers who wait to be accepted, instead of all others: where one has switched on `message_requests`.",
          }),
        ),
        ...pageQuery,
      },
      { additionalProperties: false },
    ),
    answer: { status: 200, description: "A page of conversations.", body: ConversationPage },
    problems: [],
  },
  openConversation: {
    scope: "messages:send",
    method: "POST",
    path: "/api/conversations",
    auth: "session",
    tag: "conversations",
    summary: "Open a conversation with a user, or make a group",
    description:
      "With a user there is one conversation: it is made where there is none. Who makes a group is its owner; all members get a `conversation.created` event. With an `Idempotency-Key` a repeat makes no second group.",
    headers: idempotencyKey,
    body: OpenConversation,
    bodyLimit: SMALL_BYTES * 2,
    answer: { status: 201, description: "The conversation.", body: ReadConversation },
    problems: ["unknown_receiver", "full", "idempotency_key_reused"],
  },
  readConversation: {
    scope: "messages:read",
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
  changeConversation: {
    method: "PATCH",
    path: "/api/conversations/{id}",
    auth: "session",
    tag: "groups",
    summary: "Give a group another title",
    description: "For owners and admins. Whoever takes part gets a `conversation.changed` event.",
    params,
    body: ChangeConversation,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The group as it is now.", body: ReadConversation },
    problems: ["forbidden", "no_such_conversation"],
  },
  keepMessages: {
    method: "PUT",
    path: "/api/conversations/{id}/retention",
    auth: "session",
    tag: "conversations",
    summary: "Say how long a conversation keeps its messages",
    description:
      "Each is erased so many days after it was sent, within an hour: from histories, lists, and the count of unread ones; events that tell of it come without its text. Either of two may say so; in a group, owners and admins. Whoever takes part gets a `conversation.changed` event.",
    params,
    body: KeepMessages,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The conversation as it is now.", body: ReadConversation },
    problems: ["forbidden", "no_such_conversation"],
  },
  changePreferences: {
    method: "PATCH",
    path: "/api/conversations/{id}/preferences",
    auth: "session",
    tag: "conversations",
    summary: "Mute, archive or pin a conversation for oneself",
    description: "One's own clients get a `preferences.changed` event; nobody else learns of it.",
    params,
    body: ChangePreferences,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The preferences as they are now.", body: ChangedPreferences },
    problems: ["no_such_conversation"],
  },
  acceptRequest: {
    scope: "messages:send",
    method: "POST",
    path: "/api/conversations/{id}/accept",
    auth: "session",
    tag: "conversations",
    summary: "Accept a stranger",
    description:
      "The messages that wait arrive, as they are now: in the list of conversations, as `message.created` events, and at endpoints. Whoever answers in the conversation accepts it, too.",
    params,
    answer: { status: 200, description: "The conversation as it is now.", body: ReadConversation },
    problems: ["no_such_conversation"],
  },
  declineRequest: {
    scope: "messages:send",
    method: "POST",
    path: "/api/conversations/{id}/decline",
    auth: "session",
    tag: "conversations",
    summary: "Decline a stranger",
    description:
      "The conversation is in no list any more, and what they write is in none; they are not told. One can still read it by its id, and accept it. To be rid of somebody for good, block them.",
    params,
    answer: { status: 204, description: "It is in no list." },
    problems: ["no_such_conversation"],
  },
  sendToConversation: {
    scope: "messages:send",
    limit: "send",
    method: "POST",
    path: "/api/conversations/{id}/messages",
    auth: "session",
    tag: "messages",
    summary: "Send a message to a conversation",
    description:
      "Answered once the message is durable: it is pushed to all addresses of everybody else who takes part. With an `Idempotency-Key` a repeat gets the first message, and sends no second one.",
    headers: idempotencyKey,
    params,
    body: SendToConversation,
    answer: {
      status: 201,
      description: "The message is accepted.",
      body: Message,
      headers: { location: { description: "Where the message can be read.", schema: Type.String() } },
    },
    problems: ["no_such_conversation", "no_such_message", "unknown_receiver", "idempotency_key_reused"],
  },
  listMessages: {
    scope: "messages:read",
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
  tellTyping: {
    scope: "messages:send",
    method: "POST",
    path: "/api/conversations/{id}/typing",
    auth: "session",
    tag: "conversations",
    summary: "Tell others that one is typing",
    description:
      "Sends a `typing` event to the open streams of the other members. Repeat it every few seconds: it expires after 6 s, and at most one is sent in 3 s. None is sent if you switched `typing` off.",
    params,
    answer: { status: 204, description: "They are told." },
    problems: ["no_such_conversation"],
  },
  markRead: {
    scope: "messages:send",
    method: "POST",
    path: "/api/conversations/{id}/read",
    auth: "session",
    tag: "conversations",
    summary: "Mark a conversation as read up to a message",
    description:
      "The marker only moves forward: an earlier message than the one it is at leaves it there. Whoever takes part gets a `receipt.read` event, one's other sessions too; only they do where one's receipts are switched off.",
    params,
    body: MarkRead,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "Where the marker is now.", body: MarkedRead },
    problems: ["no_such_conversation", "no_such_message"],
  },
} as const satisfies Record<string, Route>;
