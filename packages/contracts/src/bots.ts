import { type Static, Type } from "typebox";
import { conversationParam } from "./conversations.ts";
import { FullName, Id, Timestamp, Username } from "./fields.ts";
import { Message } from "./messages.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";
import { ApiTokens, MadeToken, NewToken } from "./tokens.ts";

const TOKEN_BYTES = 16 * 1024;

export const NewBot = shape(
  "NewBot",
  { username: Username, full_name: Type.Optional(FullName) },
  { username: "weather", full_name: "The weather" },
  { additionalProperties: false },
);
export type NewBot = Static<typeof NewBot>;

const BOT_EXAMPLE = {
  user_id: 41,
  username: "weather",
  full_name: "The weather",
  created_at: "2026-11-28T09:30:00.412Z",
};

export const Bot = shape(
  "Bot",
  {
    user_id: Id,
    username: Type.String(),
    full_name: Type.Union([Type.String(), Type.Null()]),
    created_at: Timestamp,
  },
  BOT_EXAMPLE,
);
export type Bot = Static<typeof Bot>;

export const Bots = shape("Bots", { bots: Type.Array(Bot) }, { bots: [BOT_EXAMPLE] });

const name = Type.String({ minLength: 1, maxLength: 100, description: "To tell them apart." });

export const NewHook = shape("NewHook", { name }, { name: "builds" }, { additionalProperties: false });

const HOOK_EXAMPLE = {
  hook_id: 61,
  name: "builds",
  by_user_id: 17,
  created_at: "2026-11-28T09:30:00.412Z",
  last_used_at: null,
};

const hook = {
  hook_id: Id,
  name,
  by_user_id: Type.Integer({ ...Id, description: "In whose name it writes." }),
  created_at: Timestamp,
  last_used_at: Type.Union([Timestamp, Type.Null()], { description: "To within a minute." }),
};

export const Hook = shape("Hook", hook, HOOK_EXAMPLE);
export type Hook = Static<typeof Hook>;
export const Hooks = shape("Hooks", { hooks: Type.Array(Hook) }, { hooks: [HOOK_EXAMPLE] });

export const MadeHook = shape(
  "MadeHook",
  {
    ...hook,
    url: Type.String({
      description:
        "Whoever has it can write. It is shown once. It begins as `PUBLIC_URL` does, or else as the address that one asked at.",
    }),
  },
  { ...HOOK_EXAMPLE, url: "https://messenger.example.org/api/hooks/mh_q5Zb2p0c9vUO3T1bW8yVqgq5Zb2p0c9vUO3T1bW8yVq" },
);

export const HookMessage = shape(
  "HookMessage",
  {
    message: Type.Optional(Type.String({ minLength: 1, description: "At most `MAX_MESSAGE_BYTES` of UTF-8." })),
    text: Type.Optional(Type.String({ minLength: 1, description: "Instead, as other systems call it." })),
  },
  { message: "Build 71 has passed." },
  { description: "Either of the two. Other fields are ignored, as programs send many." },
);
export type HookMessage = Static<typeof HookMessage>;

const ofBot = {
  auth: "session",
  tag: "tokens",
  params: Type.Object({ id: Type.Integer({ ...Id, description: "A bot." }) }),
} as const;
const ofHook = { auth: "session", tag: "tokens", params: Type.Object(conversationParam) } as const;

export const BOT_ROUTES = {
  listBots: {
    auth: "session",
    tag: "tokens",
    method: "GET",
    path: "/api/bots",
    summary: "List one's bots",
    description: "The oldest first.",
    answer: { status: 200, description: "One's bots.", body: Bots },
    problems: [],
  },
  createBot: {
    auth: "session",
    tag: "tokens",
    method: "POST",
    path: "/api/bots",
    summary: "Make a bot",
    description:
      "An account without a password, whose user a program is: it does everything by API tokens, which its owner makes. It ends with its owner's account.",
    body: NewBot,
    bodyLimit: SMALL_BYTES,
    answer: { status: 201, description: "The bot.", body: Bot },
    problems: ["full", "taken"],
  },
  deleteBot: {
    ...ofBot,
    method: "DELETE",
    path: "/api/bots/{id}",
    summary: "Delete a bot",
    description: "As an account is deleted.",
    answer: { status: 204, description: "It is gone." },
    problems: ["no_such_user"],
  },
  createBotToken: {
    ...ofBot,
    method: "POST",
    path: "/api/bots/{id}/tokens",
    summary: "Make an API token of a bot",
    description: "As one's own are made, by one's own password.",
    isSecret: true,
    body: NewToken,
    bodyLimit: TOKEN_BYTES,
    answer: { status: 201, description: "The token.", body: MadeToken },
    problems: ["no_such_user", "wrong_password", "wrong_code", "too_many_attempts", "full"],
  },
  listBotTokens: {
    ...ofBot,
    method: "GET",
    path: "/api/bots/{id}/tokens",
    summary: "List the API tokens of a bot",
    description: "Those that can be used, the newest first.",
    answer: { status: 200, description: "The tokens, without what they are.", body: ApiTokens },
    problems: ["no_such_user"],
  },
  deleteBotToken: {
    ...ofBot,
    method: "DELETE",
    path: "/api/bots/{id}/tokens/{token_id}",
    summary: "End an API token of a bot",
    description: "Nothing can be done with it any more.",
    params: Type.Object({ id: Type.Integer({ ...Id, description: "A bot." }), token_id: Id }),
    answer: { status: 204, description: "The token has ended." },
    problems: ["no_such_user", "no_such_token"],
  },
  listHooks: {
    ...ofHook,
    scope: "messages:send",
    method: "GET",
    path: "/api/conversations/{id}/hooks",
    summary: "List the incoming webhooks of a conversation",
    description: "One's own.",
    answer: { status: 200, description: "One's webhooks.", body: Hooks },
    problems: [],
  },
  createHook: {
    ...ofHook,
    scope: "messages:send",
    method: "POST",
    path: "/api/conversations/{id}/hooks",
    summary: "Make an incoming webhook",
    description:
      "A URL that a program posts messages to, which are then sent to this conversation in one's name (or a bot's, by its token). For as long as one takes part in it.",
    isSecret: true,
    body: NewHook,
    bodyLimit: SMALL_BYTES,
    answer: { status: 201, description: "The webhook.", body: MadeHook },
    problems: ["no_such_conversation", "full"],
  },
  deleteHook: {
    ...ofHook,
    scope: "messages:send",
    method: "DELETE",
    path: "/api/conversations/{id}/hooks/{hook_id}",
    summary: "Delete an incoming webhook",
    description: "Nothing is taken by its URL any more.",
    params: Type.Object({ ...conversationParam, hook_id: Id }),
    answer: { status: 204, description: "It is gone." },
    problems: ["no_such_token"],
  },
  postToHook: {
    auth: "public",
    limit: "send",
    tag: "messages",
    method: "POST",
    path: "/api/hooks/{token}",
    summary: "Send a message by an incoming webhook",
    description: "The URL is all that is needed. With an `Idempotency-Key`, a repeat gets the first answer.",
    isSecret: true,
    params: Type.Object({ token: Type.String({ minLength: 1, maxLength: 100 }) }),
    body: HookMessage,
    answer: { status: 201, description: "The message.", body: Message },
    problems: ["no_such_token", "no_such_conversation", "unknown_receiver", "idempotency_key_reused"],
  },
} as const satisfies Record<string, Route>;
