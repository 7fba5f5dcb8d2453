import { type Static, Type } from "typebox";
import { Email, FullCode, FullName, Id, Password, Timestamp } from "./fields.ts";
import { MESSAGE_ID } from "./messages.ts";
import { type Route, shape } from "./route.ts";

const CREDENTIALS_BYTES = 16 * 1024;

export const DoorNotification = shape(
  "DoorNotification",
  {
    type: Type.Union([Type.Literal("email"), Type.Literal("sms"), Type.Literal("whatsapp")]),
    recipient: Type.String({ minLength: 1, maxLength: 254, description: "An e-mail address, or a phone number." }),
    content: Type.String({ minLength: 1, maxLength: 65_536 }),
  },
  { type: "email" as const, recipient: "ada@example.org", content: "Your parcel has arrived." },
);
export type DoorNotification = Static<typeof DoorNotification>;

export const DoorSentNotification = shape(
  "DoorSentNotification",
  {
    message: Type.String(),
    id: Type.String({ description: "Of the notification: `GET /api/notifications/{id}` has its state." }),
    type: Type.String(),
    status: Type.String(),
    provider: Type.String({ description: "`log` where it is sent nowhere." }),
  },
  { message: "Message sent successfully", id: MESSAGE_ID, type: "email", status: "queued", provider: "smtp" },
);

/** What the doors answer instead of a problem. */
export const DoorProblem = shape("DoorProblem", { detail: Type.String() }, { detail: "Message not found" });

const content = Type.String({ minLength: 1, description: "At most `MAX_MESSAGE_BYTES` of UTF-8." });

export const DoorNewMessage = shape(
  "DoorNewMessage",
  {
    recipient_id: Type.Union([Id, Type.String({ pattern: "^[1-9][0-9]{0,15}$" })], {
      description: "A user, as a number or as its digits.",
    }),
    content,
  },
  { recipient_id: 23, content: "Hello Bob!" },
);
export type DoorNewMessage = Static<typeof DoorNewMessage>;

export const DoorSaid = shape("DoorSaid", { message: Type.String() }, { message: "Message sent successfully" });

const MESSAGE_EXAMPLE = {
  id: MESSAGE_ID,
  sender_id: 17,
  recipient_id: 23,
  content: "Hello Bob!",
  timestamp: "2026-11-27T09:30:00.412Z",
};

export const DoorMessage = shape(
  "DoorMessage",
  {
    id: Type.String(),
    sender_id: Id,
    recipient_id: Type.Union([Id, Type.Null()], { description: "Null for a message to a group." }),
    content: Type.String(),
    timestamp: Timestamp,
  },
  MESSAGE_EXAMPLE,
);
export type DoorMessage = Static<typeof DoorMessage>;

export const DoorMessages = Type.Array(DoorMessage, { title: "DoorMessages", examples: [[MESSAGE_EXAMPLE]] });

export const DoorEdit = shape("DoorEdit", { content }, { content: "Hello Bob, how are you?" });

export const DoorRegister = shape(
  "DoorRegister",
  { email: Email, password: Password, full_name: FullName },
  { email: "ada@example.com", password: "correct horse battery staple", full_name: "Ada Lovelace" },
);
export type DoorRegister = Static<typeof DoorRegister>;

export const DoorLogin = shape(
  "DoorLogin",
  { email: Email, password: Password, totp_code: Type.Optional(FullCode) },
  { email: "ada@example.com", password: "correct horse battery staple" },
);
export type DoorLogin = Static<typeof DoorLogin>;

export const DoorToken = shape(
  "DoorToken",
  { access_token: Type.String(), token_type: Type.Literal("bearer") },
  { access_token: "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl", token_type: "bearer" as const },
);

const COMMON = { validation_error: { status: 422 }, malformed_body: { status: 422 } } as const;
const ofMessages = {
  auth: "session",
  tag: "door: messages",
  door: {
    ...COMMON,
    unauthorized: { status: 401, detail: "Not authenticated" },
    no_such_message: { status: 404, detail: "Message not found" },
    unknown_receiver: { status: 404, detail: "Recipient not found" },
  },
} as const;
// The ids are not described as such: one that is none is of no message.
const params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) });

const DOOR_EDIT = {
  ...ofMessages,
  limit: "edit",
  path: "/messages/{id}",
  summary: "Edit a message of one's own",
  description: "As `PATCH /api/messages/{id}` does.",
  params,
  body: DoorEdit,
  answer: { status: 200, description: "The message as it is now.", body: DoorMessage },
  problems: ["forbidden", "no_such_message", "too_many_versions"],
} as const satisfies Omit<Route, "method">;

const ofAuth = { auth: "public", tag: "door: auth", isSecret: true, bodyLimit: CREDENTIALS_BYTES } as const;

/** The contracts of other systems, to the letter: each over what the API itself does. */
export const DOOR_ROUTES = {
  doorSendMessage: {
    ...ofMessages,
    limit: "send",
    scope: "messages:send",
    method: "POST",
    path: "/messages",
    summary: "Send a message",
    description: "As `POST /api/messages` does, from whoever is signed in.",
    body: DoorNewMessage,
    answer: { status: 200, description: "The message is accepted.", body: DoorSaid },
    problems: ["unknown_receiver"],
  },
  doorListMessages: {
    ...ofMessages,
    scope: "messages:read",
    method: "GET",
    path: "/messages",
    summary: "List one's messages",
    description:
      "Those that one sent and received, the oldest first: the newest 1,000, or some 1 MiB of text, whichever is less. `recipient_id` is null for messages to groups. 404 if there are none.",
    door: { ...ofMessages.door, no_such_message: { status: 404, detail: "No messages found" } },
    answer: { status: 200, description: "The messages.", body: DoorMessages },
    problems: ["no_such_message"],
  },
  doorReadMessage: {
    ...ofMessages,
    scope: "messages:read",
    method: "GET",
    path: "/messages/{id}",
    summary: "Read a message",
    description: "One that one sent or received.",
    params,
    answer: { status: 200, description: "The message.", body: DoorMessage },
    problems: ["no_such_message"],
  },
  doorReplaceMessage: { ...DOOR_EDIT, method: "PUT" },
  doorEditMessage: { ...DOOR_EDIT, method: "PATCH" },
  doorDeleteMessage: {
    ...ofMessages,
    limit: "edit",
    scope: "messages:send",
    method: "DELETE",
    path: "/messages/{id}",
    summary: "Delete a message of one's own",
    description: "As `DELETE /api/messages/{id}` does.",
    params,
    answer: { status: 200, description: "The message is deleted.", body: DoorSaid },
    problems: ["forbidden", "no_such_message"],
  },
  doorRegister: {
    ...ofAuth,
    method: "POST",
    path: "/auth/register",
    summary: "Make an account, and sign in",
    description: "As `POST /api/users` does for an e-mail address.",
    door: { ...COMMON, taken: { status: 400, detail: "Email already registered" } },
    body: DoorRegister,
    answer: { status: 200, description: "Whoever registered is signed in.", body: DoorToken },
    problems: ["registration_closed", "taken", "too_many_sign_ups", "unauthorized"],
  },
  doorLogin: {
    ...ofAuth,
    method: "POST",
    path: "/auth/login",
    summary: "Sign in",
    description: "By an e-mail address, or another name that one signs in by.",
    door: {
      ...COMMON,
      wrong_credentials: { status: 401, detail: "Invalid credentials" },
      code_needed: { status: 401, detail: "Invalid credentials" },
    },
    body: DoorLogin,
    answer: { status: 200, description: "Signed in.", body: DoorToken },
    problems: ["wrong_credentials", "code_needed", "suspended", "too_many_attempts", "unauthorized"],
  },
  doorNotify: {
    scope: "notify",
    limit: "send",
    auth: "session",
    tag: "door: sendMessage",
    method: "POST",
    path: "/sendMessage",
    summary: "Send a notification to an outside address",
    description: "As `POST /api/notifications` does.",
    door: {},
    body: DoorNotification,
    bodyLimit: 400 * 1024,
    answer: { status: 200, description: "It is durable, and on its way.", body: DoorSentNotification },
    problems: ["forbidden", "no_such_channel", "suppressed"],
  },
} as const satisfies Record<string, Route>;
