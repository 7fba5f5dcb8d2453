import { type Static, Type } from "typebox";
import { FullCode, Id, LoginName, Password, PublicKey, Timestamp, UserAddress } from "./fields.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";
import { SessionTokens } from "./users.ts";

/** Its largest part is the public key, each character of which can be written as six bytes. */
const LOGIN_BYTES = 128 * 1024;

export const Login = shape(
  "Login",
  {
    username: LoginName,
    password: Password,
    user_address: UserAddress,
    public_key: PublicKey,
    totp_code: Type.Optional(FullCode),
  },
  {
    username: "ada",
    password: "correct horse battery staple",
    user_address: "https://ada.example/messages",
    public_key: "LS0tLS1CRUdJTiBQVUJMSUMgS0VZ",
  },
);
export type Login = Static<typeof Login>;

export const LoggedIn = shape(
  "LoggedIn",
  {
    msg: Type.String(),
    user_id: Id,
    token: Type.String({ description: "The access token." }),
    ...SessionTokens.properties,
    webhook_secret: Type.String({ description: "Signs the pushes to `user_address` (Standard Webhooks)." }),
    address_refusal: Type.Union([Type.String(), Type.Null()], {
      description: "Why nothing is pushed to `user_address`; null where it is.",
    }),
  },
  {
    msg: "Login successful.",
    user_id: 17,
    token: "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl",
    access_token: "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl",
    refresh_token: "31.q5Zb2p0c9vUO3T1bW8yVqg",
    token_type: "Bearer",
    expires_in: 3600,
    webhook_secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    address_refusal: null,
  },
);

const device_name = Type.String({ minLength: 1, maxLength: 100, description: "To tell one's sessions apart." });

export const StartSession = shape(
  "StartSession",
  {
    username: Type.String({ ...LoginName, description: "A user name, an e-mail address or a phone number." }),
    password: Password,
    totp_code: Type.Optional(FullCode),
    device_name: Type.Optional(device_name),
    public_key: Type.Optional(PublicKey),
  },
  { username: "ada", password: "correct horse battery staple", device_name: "Ada's phone" },
  { additionalProperties: false },
);
export type StartSession = Static<typeof StartSession>;

export const StartedSession = shape(
  "StartedSession",
  { user_id: Id, ...SessionTokens.properties },
  {
    user_id: 17,
    access_token: "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl",
    refresh_token: "31.q5Zb2p0c9vUO3T1bW8yVqg",
    token_type: "Bearer",
    expires_in: 3600,
  },
);

const SESSION_EXAMPLE = {
  session_id: 31,
  device_name: "Ada's phone",
  public_key: null,
  address: null,
  is_current: true,
  created_at: "2026-11-28T09:30:00.412Z",
  last_seen_at: "2026-11-28T10:12:47.008Z",
  expires_at: "2027-02-26T10:12:47.008Z",
};

export const Session = shape(
  "Session",
  {
    session_id: Id,
    device_name: Type.Union([device_name, Type.Null()]),
    public_key: Type.Union([PublicKey, Type.Null()]),
    address: Type.Union([Type.String(), Type.Null()], { description: "Where its messages are pushed to." }),
    is_current: Type.Boolean({ description: "The one that asks." }),
    created_at: Timestamp,
    last_seen_at: Timestamp,
    expires_at: Type.Union([Timestamp, Type.Null()], { description: "Unless it gets new tokens before." }),
  },
  SESSION_EXAMPLE,
);
export type Session = Static<typeof Session>;

export const Sessions = shape("Sessions", { sessions: Type.Array(Session) }, { sessions: [SESSION_EXAMPLE] });

export const ChangeSession = shape(
  "ChangeSession",
  { device_name: Type.Optional(device_name), public_key: Type.Optional(PublicKey) },
  { device_name: "Ada's old phone" },
  { additionalProperties: false, minProperties: 1, description: "What is not given stays as it is." },
);
export type ChangeSession = Static<typeof ChangeSession>;

const ofSession = { auth: "session", tag: "sessions", params: Type.Object({ id: Id }), problems: ["no_such_session"] } as const;

export const Logout = shape("Logout", { username: LoginName }, { username: "ada" });
export type Logout = Static<typeof Logout>;

export const LoggedOut = shape(
  "LoggedOut",
  { msg: Type.String(), username: Type.String() },
  { msg: "Logout successful.", username: "ada" },
);

export const Refresh = shape(
  "Refresh",
  { refresh_token: Type.String({ minLength: 1, maxLength: 200 }) },
  { refresh_token: "31.q5Zb2p0c9vUO3T1bW8yVqg" },
  { additionalProperties: false },
);
export type Refresh = Static<typeof Refresh>;

export const SESSION_ROUTES = {
  logIn: {
    method: "POST",
    path: "/api/login",
    auth: "public",
    tag: "sessions",
    summary: "Sign in, and have messages pushed to an address",
    description:
      "Messages that arrive from now on are pushed to the address, as are those that no other address of the user has taken yet. An address that nothing can be pushed to does not stop the log-in: `address_refusal` says why.",
    isContract: true,
    isSecret: true,
    body: Login,
    bodyLimit: LOGIN_BYTES,
    answer: { status: 200, description: "Signed in.", body: LoggedIn },
    problems: ["unauthorized", "wrong_credentials", "code_needed", "suspended", "too_many_attempts"],
  },
  startSession: {
    method: "POST",
    path: "/api/sessions",
    auth: "public",
    tag: "sessions",
    summary: "Sign in",
    description:
      "For clients that read what happens themselves: nothing is pushed anywhere because of it. By a user name, an e-mail address or a phone number.",
    isSecret: true,
    body: StartSession,
    bodyLimit: LOGIN_BYTES,
    answer: { status: 201, description: "The session.", body: StartedSession },
    problems: ["unauthorized", "wrong_credentials", "code_needed", "suspended", "too_many_attempts"],
  },
  listSessions: {
    method: "GET",
    path: "/api/sessions",
    auth: "session",
    tag: "sessions",
    summary: "List one's sessions",
    description: "Those that can be used, the newest first: at most 100.",
    answer: { status: 200, description: "One's sessions.", body: Sessions },
    problems: [],
  },
  changeSession: {
    ...ofSession,
    method: "PATCH",
    path: "/api/sessions/{id}",
    summary: "Name a session, or give it a public key",
    description: "Whoever looks for the user finds the key of the newest session that has one.",
    body: ChangeSession,
    bodyLimit: LOGIN_BYTES,
    answer: { status: 200, description: "The session as it is now.", body: Session },
  },
  endSession: {
    ...ofSession,
    method: "DELETE",
    path: "/api/sessions/{id}",
    summary: "End a session",
    description: "Its tokens are no longer valid, and its address gets no more pushes, unless another session uses it.",
    answer: { status: 204, description: "The session has ended." },
  },
  logOut: {
    method: "POST",
    path: "/api/logout",
    auth: "session",
    tag: "sessions",
    summary: "End this session",
    description: "Its tokens are no longer valid. Its address gets no more pushes, unless another session uses it.",
    isContract: true,
    body: Logout,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The session has ended.", body: LoggedOut },
    problems: [],
  },
  refreshToken: {
    method: "POST",
    path: "/api/token/refresh",
    auth: "public",
    tag: "sessions",
    summary: "Get a new access token",
    description:
      "The refresh token is replaced by the one in the answer. The same token again within 30 s gets the same answer, for a client that did not get it; later it ends the session.",
    isSecret: true,
    body: Refresh,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The next tokens of the session.", body: SessionTokens },
    problems: ["unauthorized"],
  },
} as const satisfies Record<string, Route>;
