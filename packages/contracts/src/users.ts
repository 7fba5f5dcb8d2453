import { type Static, Type } from "typebox";
import { Email, FullCode, FullName, Id, Password, PhoneNumber, PublicKey, Timestamp, Username } from "./fields.ts";
import { type Route, shape } from "./route.ts";

/** Its largest field can be written in escapes, of six bytes for each character. */
const USER_BYTES = 64 * 1024;

const TOKENS_EXAMPLE = {
  access_token: "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl",
  refresh_token: "31.q5Zb2p0c9vUO3T1bW8yVqg",
  token_type: "Bearer",
  expires_in: 3600,
} as const;

const tokens = {
  access_token: Type.String({ description: "For `Authorization: Bearer`." }),
  refresh_token: Type.String({ description: "Gets the next access token, once." }),
  token_type: Type.Literal("Bearer"),
  expires_in: Type.Integer({ description: "Seconds that the access token is valid." }),
};

/** What a client needs to act as a session. */
export const SessionTokens = shape("SessionTokens", tokens, TOKENS_EXAMPLE);
export type SessionTokens = Static<typeof SessionTokens>;

export const NewUser = shape(
  "NewUser",
  {
    username: Type.Optional(Username),
    phone_number: Type.Optional(PhoneNumber),
    email: Type.Optional(Email),
    full_name: Type.Optional(FullName),
    password: Password,
    invitation: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: "The invitation; required with `REGISTRATION=invited`." }),
    ),
  },
  { username: "ada", phone_number: "+44 20 7946 0000", password: "correct horse battery staple" },
  {
    description:
      "Either a user name, phone number and password, or an e-mail address, full name and password. With `SIGN_UP_ADDRESSES=verified`, give a user name and a password. An address that you give becomes a contact and is sent a code. After you confirm the code, you can sign in with it.",
  },
);
export type NewUser = Static<typeof NewUser>;

export const MadeUser = shape(
  "MadeUser",
  { user_id: Id, username: Type.Union([Type.String(), Type.Null()]), ...tokens },
  { user_id: 17, username: "ada", ...TOKENS_EXAMPLE },
);

const about = Type.Union([Type.String(), Type.Null()], { description: "What the user says of themselves." });

/** `?username=`, or the same as a JSON body. */
export const FindUserQuery = Type.Object({
  username: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: "The whole name." })),
  q: Type.Optional(
    Type.String({
      maxLength: 254,
      description:
        "The beginning of a user name, a full name or a word of it, of three characters or more, whatever its case and accents; or a whole e-mail address or phone number, of users who allow that.",
    }),
  ),
});

export const User = shape(
  "User",
  {
    user_id: Id,
    username: Type.String(),
    full_name: Type.Union([Type.String(), Type.Null()]),
    about,
    is_bot: Type.Boolean({ description: "Whether a program is its user." }),
    public_key: Type.Union([PublicKey, Type.Null()], { description: "The one of the user's newest session that gave any." }),
  },
  { user_id: 23, username: "bob", full_name: null, about: null, is_bot: false, public_key: "LS0tLS1CRUdJTiBQVUJMSUMgS0VZ" },
);

export const FoundUsers = shape(
  "FoundUsers",
  {
    users: Type.Array(
      Type.Object({
        user_id: Id,
        username: Type.Union([Type.String(), Type.Null()]),
        full_name: Type.Union([Type.String(), Type.Null()]),
        about,
      }),
      { description: "At most 20, by name." },
    ),
  },
  { users: [{ user_id: 23, username: "bob", full_name: "Bob Noyce", about: null }] },
);

/** By a name, or by a search. */
const UserOrUsers = Type.Union([User, FoundUsers], {
  title: "UserOrUsers",
  examples: [...((User as { examples?: object[] }).examples ?? [])],
});

const ACCOUNT_EXAMPLE = {
  user_id: 17,
  username: "ada",
  email: null,
  phone_number: "+44 20 7946 0000",
  full_name: "Ada Lovelace",
  about: "Poetical science.",
  found_by_email: false,
  found_by_phone: false,
  receipts: true,
  typing: true,
  presence: true,
  message_requests: false,
  totp: false,
  created_at: "2026-11-27T09:30:00.412Z",
};
/** What others are told of oneself. */
const told = {
  found_by_email: Type.Boolean({ description: "Whether a search for one's whole e-mail address finds one." }),
  found_by_phone: Type.Boolean({ description: "Whether a search for one's whole phone number finds one." }),
  receipts: Type.Boolean({ description: "Whether others are told how far one has read." }),
  typing: Type.Boolean({ description: "Whether others are told when one types." }),
  presence: Type.Boolean({ description: "Whether others are told that one is there." }),
  message_requests: Type.Boolean({
    description:
      "Whether one is asked before messages of strangers arrive: until one accepts them, they are in no list but that of requests, make no notice, and are pushed to no endpoint that does not take `message.requested`.",
  }),
};

export const Account = shape(
  "Account",
  {
    user_id: Id,
    username: Type.Union([Type.String(), Type.Null()]),
    email: Type.Union([Type.String(), Type.Null()]),
    phone_number: Type.Union([Type.String(), Type.Null()]),
    full_name: Type.Union([Type.String(), Type.Null()]),
    about,
    ...told,
    totp: Type.Boolean({ description: "Whether log-ins need a code of an authenticator." }),
    created_at: Timestamp,
  },
  ACCOUNT_EXAMPLE,
);
export type Account = Static<typeof Account>;

export const ChangeAccount = shape(
  "ChangeAccount",
  {
    full_name: Type.Optional(FullName),
    about: Type.Optional(Type.String({ maxLength: 500, description: "What one says of oneself; empty for nothing." })),
    found_by_email: Type.Optional(told.found_by_email),
    found_by_phone: Type.Optional(told.found_by_phone),
    receipts: Type.Optional(told.receipts),
    typing: Type.Optional(told.typing),
    presence: Type.Optional(told.presence),
    message_requests: Type.Optional(told.message_requests),
  },
  { full_name: "Ada Lovelace", receipts: false },
  { additionalProperties: false, minProperties: 1, description: "What is not given stays as it is." },
);
export type ChangeAccount = Static<typeof ChangeAccount>;

export const ChangePassword = shape(
  "ChangePassword",
  { current_password: Password, password: Password },
  { current_password: "correct horse battery staple", password: "a better one than before" },
  { additionalProperties: false },
);
export type ChangePassword = Static<typeof ChangePassword>;

export const ChangeSignIn = shape(
  "ChangeSignIn",
  {
    contact_id: Type.Union([Id, Type.Null()], {
      description: "A contact of one's own whose address is verified; null where one signs in by none any more.",
    }),
    password: Password,
  },
  { contact_id: 12, password: "correct horse battery staple" },
  { additionalProperties: false },
);
export type ChangeSignIn = Static<typeof ChangeSignIn>;

export const DeleteAccount = shape(
  "DeleteAccount",
  { password: Password, totp_code: Type.Optional(FullCode) },
  { password: "correct horse battery staple" },
  { additionalProperties: false },
);
export type DeleteAccount = Static<typeof DeleteAccount>;

export const DeletedAccount = shape(
  "DeletedAccount",
  {
    user_id: Id,
    receipt: Type.String({
      description: "A JWT that says what was erased, and when; `readReceiptKey` gives the key that verifies it.",
    }),
  },
  { user_id: 17, receipt: "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJtZXNzZW5nZXIiLCJzdWIiOiIxNyJ9.c2lnbmF0dXJl" },
);

export const ReceiptKey = shape(
  "ReceiptKey",
  { kty: Type.String(), crv: Type.String(), x: Type.String(), alg: Type.String(), use: Type.String() },
  { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", alg: "EdDSA", use: "sig" },
  { description: "A public key (RFC 7517, 8037)." },
);
export type ReceiptKey = Static<typeof ReceiptKey>;

export const DeleteUser = shape("DeleteUser", { user_id: Id }, { user_id: 17 });
export type DeleteUser = Static<typeof DeleteUser>;

export const DeletedUser = shape("DeletedUser", { msg: Type.String(), user_id: Id }, { msg: "User deleted.", user_id: 17 });

const SIGN_IN = {
  method: "PUT",
  auth: "session",
  tag: "account",
  body: ChangeSignIn,
  bodyLimit: USER_BYTES,
  answer: { status: 200, description: "One's account as it is now.", body: Account },
  problems: ["no_such_contact", "not_verified", "taken", "too_many_attempts", "wrong_password"],
} as const satisfies Omit<Route, "path" | "summary" | "description">;

export const USER_ROUTES = {
  createUser: {
    method: "POST",
    path: "/api/users",
    auth: "public",
    tag: "account",
    summary: "Make an account, and sign in",
    description:
      "The answer holds the tokens of a session, so that nothing else is needed to send messages. Nothing is pushed anywhere before the user logs in with an address.",
    isContract: true,
    isSecret: true,
    body: NewUser,
    bodyLimit: USER_BYTES,
    answer: { status: 201, description: "The account, and its first session.", body: MadeUser },
    problems: ["unauthorized", "registration_closed", "taken", "too_many_sign_ups", "no_such_channel"],
  },
  findUser: {
    scope: "messages:read",
    method: "GET",
    path: "/api/users",
    auth: "session",
    tag: "account",
    summary: "Find a user by name, or search for users",
    description:
      "`username`, as a query or as a JSON body, finds the user of that name: case does not matter. `q` searches: up to 20 users.",
    isContract: true,
    query: FindUserQuery,
    bodyLimit: USER_BYTES,
    answer: { status: 200, description: "The user of that name, or those who were found.", body: UserOrUsers },
    problems: ["no_such_user"],
  },
  readAccount: {
    scope: "messages:read",
    method: "GET",
    path: "/api/users/me",
    auth: "session",
    tag: "account",
    summary: "Read one's own account",
    description: "What is known of oneself, for oneself.",
    answer: { status: 200, description: "One's account.", body: Account },
    problems: [],
  },
  changeAccount: {
    method: "PATCH",
    path: "/api/users/me",
    auth: "session",
    tag: "account",
    summary: "Change one's own account",
    description: "What one is called, what one says of oneself, and what others are told.",
    body: ChangeAccount,
    bodyLimit: USER_BYTES,
    answer: { status: 200, description: "One's account as it is now.", body: Account },
    problems: [],
  },
  exportAccount: {
    method: "GET",
    path: "/api/users/me/export",
    auth: "session",
    tag: "account",
    summary: "Export one's account",
    description:
      "A zip of JSON files, and of pages to read: the account, its sessions, tokens, contacts and endpoints (without their secrets), identities, bots, whom one blocks, and all conversations with their messages as they are now. It is made as it is read; one at a time.",
    answer: { status: 200, description: "The zip.", stream: "application/zip" },
    problems: [],
  },
  changePassword: {
    method: "PUT",
    path: "/api/users/me/password",
    auth: "session",
    tag: "account",
    summary: "Change one's password",
    description:
      "All other sessions end, and their addresses get no more pushes. Wrong passwords count as log-ins that failed do.",
    body: ChangePassword,
    bodyLimit: USER_BYTES,
    answer: { status: 204, description: "The password is another one." },
    problems: ["wrong_password", "too_many_attempts"],
  },
  changeEmail: {
    ...SIGN_IN,
    path: "/api/users/me/email",
    summary: "Sign in by another e-mail address",
    description:
      "By that of a contact of one's own (`createContact`), which a code has verified. Whoever has an e-mail address and no user name keeps one.",
  },
  changePhone: {
    ...SIGN_IN,
    path: "/api/users/me/phone",
    summary: "Sign in by another phone number",
    description: "By that of a contact of one's own, which a code has verified.",
  },
  deleteAccount: {
    method: "DELETE",
    path: "/api/users/me",
    auth: "session",
    tag: "account",
    summary: "Delete one's own account",
    description:
      "By the password, and a code where there is an authenticator. Sessions and tokens end, addresses get no more pushes, and what is known of the account is erased; what it sent stays with those who received it, without the name, unless the operator has it erased (`DELETED_MESSAGES`). For an account of many messages, that goes on after the answer, which is signed.",
    isSecret: true,
    body: DeleteAccount,
    bodyLimit: USER_BYTES,
    answer: { status: 200, description: "The account is gone.", body: DeletedAccount },
    problems: ["wrong_password", "wrong_code", "too_many_attempts"],
  },
  readReceiptKey: {
    method: "GET",
    path: "/api/receipt-key",
    auth: "public",
    tag: "account",
    summary: "Read the key that verifies receipts",
    description: "It never changes.",
    answer: { status: 200, description: "The key.", body: ReceiptKey },
    problems: [],
  },
  deleteUser: {
    method: "DELETE",
    path: "/api/users",
    auth: "session",
    tag: "account",
    summary: "Delete an account",
    description:
      "One's own, or any as an admin. Its sessions end, its addresses get no more pushes, and what is known of it is erased; what it sent stays with those who received it.",
    isContract: true,
    body: DeleteUser,
    bodyLimit: USER_BYTES,
    answer: { status: 200, description: "The account is gone.", body: DeletedUser, text: "User deleted." },
    problems: ["forbidden", "no_such_user"],
  },
} as const satisfies Record<string, Route>;
