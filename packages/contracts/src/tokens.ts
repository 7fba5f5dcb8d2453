import { type Static, Type } from "typebox";
import { FullCode, Id, Password, Timestamp } from "./fields.ts";
import { type Route, SCOPES, shape } from "./route.ts";

/** The password may be written in escapes, of six bytes for each character. */
const TOKEN_BYTES = 16 * 1024;
const MAX_DAYS = 366;

const name = Type.String({ minLength: 1, maxLength: 100, description: "To tell one's tokens apart." });
const scopes = Type.Array(Type.Enum([...SCOPES]), {
  minItems: 1,
  maxItems: SCOPES.length,
  uniqueItems: true,
  description: "What it may be used for.",
});

export const NewToken = shape(
  "NewToken",
  {
    name,
    scopes,
    expires_in_days: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_DAYS, description: "90 if not given." })),
    password: Password,
    totp_code: Type.Optional(FullCode),
  },
  { name: "reports", scopes: ["messages:send"], expires_in_days: 30, password: "correct horse battery staple" },
  { additionalProperties: false },
);
export type NewToken = Static<typeof NewToken>;

const TOKEN_EXAMPLE = {
  token_id: 57,
  name: "reports",
  scopes: ["messages:send" as const],
  created_at: "2026-11-28T09:30:00.412Z",
  last_used_at: null,
  expires_at: "2026-12-28T09:30:00.412Z",
};

const fields = {
  token_id: Id,
  name,
  scopes,
  created_at: Timestamp,
  last_used_at: Type.Union([Timestamp, Type.Null()], { description: "To within a minute." }),
  expires_at: Timestamp,
};

export const ApiToken = shape("ApiToken", fields, TOKEN_EXAMPLE);
export type ApiToken = Static<typeof ApiToken>;

export const ApiTokens = shape("ApiTokens", { tokens: Type.Array(ApiToken) }, { tokens: [TOKEN_EXAMPLE] });

export const MadeToken = shape(
  "MadeToken",
  { ...fields, token: Type.String({ description: "For `Authorization: Bearer`. It is shown once." }) },
  { ...TOKEN_EXAMPLE, token: "mt_q5Zb2p0c9vUO3T1bW8yVqgq5Zb2p0c9vUO3T1bW8yVq" },
);

const ofToken = { auth: "session", tag: "tokens" } as const;

export const TOKEN_ROUTES = {
  listTokens: {
    ...ofToken,
    method: "GET",
    path: "/api/tokens",
    summary: "List one's API tokens",
    description: "Those that can be used, the newest first.",
    answer: { status: 200, description: "One's tokens, without what they are.", body: ApiTokens },
    problems: [],
  },
  createToken: {
    ...ofToken,
    method: "POST",
    path: "/api/tokens",
    summary: "Make an API token",
    description:
      "For programs: it is used like an access token, for what its scopes allow, until it ends. One's password is asked for, as a session alone should not outlast itself. It is kept as a hash only; changing one's password does not end it.",
    isSecret: true,
    body: NewToken,
    bodyLimit: TOKEN_BYTES,
    answer: { status: 201, description: "The token.", body: MadeToken },
    problems: ["wrong_password", "wrong_code", "too_many_attempts", "full"],
  },
  deleteToken: {
    ...ofToken,
    method: "DELETE",
    path: "/api/tokens/{id}",
    summary: "End an API token",
    description: "Nothing can be done with it any more.",
    params: Type.Object({ id: Id }),
    answer: { status: 204, description: "The token has ended." },
    problems: ["no_such_token"],
  },
} as const satisfies Record<string, Route>;
