import { type Static, Type } from "typebox";
import { FullCode, Id, Password, Timestamp } from "./fields.ts";
import { MESSAGE_ID, MessageId } from "./messages.ts";
import { pageFields, pageQuery } from "./pages.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";

/** A password may be written in escapes, of six bytes for each character. */
const PASSWORD_BYTES = 16 * 1024;
const nullable = <Schema extends Parameters<typeof Type.Union>[0][number]>(schema: Schema) => Type.Union([schema, Type.Null()]);
const nextCursor = { next_cursor: pageFields.next_cursor };

export const ConfirmPassword = shape(
  "ConfirmPassword",
  { password: Password, totp_code: Type.Optional(FullCode) },
  { password: "correct horse battery staple" },
  { additionalProperties: false },
);

const ACCOUNT_EXAMPLE = {
  user_id: 17,
  username: "ada",
  email: null,
  role: "user" as const,
  plan: "standard",
  suspended_at: null,
  created_at: "2026-11-27T09:30:00.412Z",
  sessions: 2,
  endpoints: 1,
};

export const AdminAccount = shape(
  "AdminAccount",
  {
    user_id: Id,
    username: nullable(Type.String()),
    email: nullable(Type.String()),
    role: Type.Union([Type.Literal("user"), Type.Literal("admin")]),
    plan: Type.String({ description: "By which requests are limited." }),
    suspended_at: nullable(Timestamp),
    created_at: Timestamp,
    sessions: Type.Integer({ minimum: 0, description: "Sessions that can be used." }),
    endpoints: Type.Integer({ minimum: 0, description: "Endpoints that are pushed to." }),
  },
  ACCOUNT_EXAMPLE,
);
export type AdminAccount = Static<typeof AdminAccount>;

export const AdminAccounts = shape(
  "AdminAccounts",
  { users: Type.Array(AdminAccount), ...nextCursor },
  { users: [ACCOUNT_EXAMPLE], next_cursor: null },
);

export const ChangePlan = shape(
  "ChangePlan",
  { plan: Type.String({ pattern: "^[a-z][a-z0-9-]{0,30}$" }) },
  { plan: "bulk" },
  { additionalProperties: false },
);

const ENDPOINT_EXAMPLE = {
  endpoint_id: 12,
  user_id: 17,
  origin: "https://hooks.example.org",
  state: "active" as const,
  reason: null,
  failures: 7,
  failing_since: "2026-11-28T07:00:00.000Z",
  behind: 31,
  dead_letters: 2,
};

export const AdminEndpoints = shape(
  "AdminEndpoints",
  {
    endpoints: Type.Array(
      Type.Object({
        endpoint_id: Id,
        user_id: nullable(Id),
        origin: Type.String({ description: "Of its address, without what may be secret in it." }),
        state: Type.Union([Type.Literal("active"), Type.Literal("off")]),
        reason: nullable(Type.String()),
        failures: Type.Integer({ minimum: 0, description: "In a row." }),
        failing_since: nullable(Timestamp),
        behind: Type.Integer({ minimum: 0, description: "Events that it has not taken." }),
        dead_letters: Type.Integer({ minimum: 0, maximum: 1000, description: "1,000 stands for more, too." }),
      }),
    ),
    ...nextCursor,
  },
  { endpoints: [ENDPOINT_EXAMPLE], next_cursor: null },
);
export type AdminEndpoints = Static<typeof AdminEndpoints>;

export const ReplayedLetters = shape("AdminReplayedDeadLetters", { count: Type.Integer({ minimum: 0 }) }, { count: 2 });

export const AdminQueue = shape(
  "AdminQueue",
  {
    outbox_rows: Type.Integer({ minimum: 0, description: "What covers events that were not handed to the queue yet." }),
    outbox_age_seconds: Type.Number({ minimum: 0, description: "Of the oldest of them." }),
    endpoints_waiting: Type.Integer({ minimum: 0, description: "With a retry that is planned, or a lease." }),
    overdue_seconds: Type.Number({ minimum: 0, description: "For how long the first of them has been due." }),
    endpoints_off: Type.Integer({ minimum: 0 }),
    dead_letters: Type.Integer({ minimum: 0 }),
  },
  { outbox_rows: 0, outbox_age_seconds: 0, endpoints_waiting: 3, overdue_seconds: 0, endpoints_off: 1, dead_letters: 2 },
  { description: "What waits in the database. Counts end at 100,000." },
);

export const REASONS = ["spam", "abuse", "illegal", "other"] as const;
const reason = Type.Enum([...REASONS]);
const comment = Type.String({ minLength: 1, maxLength: 1_000, description: "For the moderators." });

export const ReportMessage = shape(
  "ReportMessage",
  { reason, comment: Type.Optional(comment) },
  { reason: "spam", comment: "I never asked for this." },
  { additionalProperties: false },
);
export type ReportMessage = Static<typeof ReportMessage>;

const person = nullable(Type.Object({ user_id: Id, username: nullable(Type.String()) }));
const ACTIONS = ["dismiss", "delete_message", "suspend_sender"] as const;

const REPORT_EXAMPLE = {
  report_id: 3,
  message_id: MESSAGE_ID,
  conversation_id: 9,
  sender: { user_id: 31, username: "mallory" },
  reporter: { user_id: 17, username: "ada" },
  reason: "spam" as const,
  comment: "I never asked for this.",
  message: "Buy now!",
  created_at: "2026-11-28T09:30:00.412Z",
  others: 4,
  resolution: null,
  resolved_at: null,
};

export const MessageReport = shape(
  "MessageReport",
  {
    report_id: Id,
    message_id: MessageId,
    conversation_id: Id,
    sender: Type.Unsafe<Static<typeof person>>({ ...person, description: "Null once the account was deleted." }),
    reporter: person,
    reason,
    comment: nullable(Type.String()),
    message: Type.Union([Type.String(), Type.Null()], {
      description:
        "As it was when it was reported; null where its sender's account was deleted, and `DELETED_MESSAGES` is `erased`.",
    }),
    created_at: Timestamp,
    others: Type.Integer({ minimum: 0, description: "Other reports of the same sender that are not resolved." }),
    resolution: nullable(Type.Enum([...ACTIONS])),
    resolved_at: nullable(Timestamp),
  },
  REPORT_EXAMPLE,
);
export type MessageReport = Static<typeof MessageReport>;

export const MessageReports = shape(
  "MessageReports",
  { reports: Type.Array(MessageReport), ...nextCursor },
  { reports: [REPORT_EXAMPLE], next_cursor: null },
);

export const ResolveReport = shape(
  "ResolveReport",
  { action: Type.Enum([...ACTIONS], { description: "What is done; all reports of the same message are resolved by it." }) },
  { action: "delete_message" },
  { additionalProperties: false },
);
export type ResolveReport = Static<typeof ResolveReport>;

const INVITATION_EXAMPLE = {
  invitation_id: 4,
  created_at: "2026-11-28T09:30:00.412Z",
  expires_at: "2026-12-05T09:30:00.412Z",
  used_at: null,
};
const invitation = {
  invitation_id: Id,
  created_at: Timestamp,
  expires_at: Timestamp,
  used_at: Type.Union([Timestamp, Type.Null()], { description: "When the invitation was used; null where it was not." }),
};

export const NewInvitation = shape(
  "NewInvitation",
  { valid_days: Type.Integer({ minimum: 1, maximum: 90, description: "For how many days it is good." }) },
  { valid_days: 7 },
  { additionalProperties: false },
);

export const MadeInvitation = shape(
  "MadeInvitation",
  {
    ...invitation,
    invitation: Type.String({ description: "What somebody makes an account with. It is shown once." }),
  },
  { ...INVITATION_EXAMPLE, invitation: "mi_V3N3ai1pbnZpdGF0aW9uLW9mLXNvbWVib2R5LW5ldw" },
);

export const Invitations = shape(
  "Invitations",
  { invitations: Type.Array(Type.Object(invitation)), ...nextCursor },
  { invitations: [INVITATION_EXAMPLE], next_cursor: null },
);
export type Invitations = Static<typeof Invitations>;

export const AuditLog = shape(
  "AuditLog",
  {
    entries: Type.Array(
      Type.Object({
        at: Timestamp,
        actor: Type.String({ description: "`user 17`, or `command line`." }),
        action: Type.String(),
        user_id: Type.Union([Id, Type.Null()], { description: "Whom it was done to." }),
      }),
    ),
  },
  { entries: [{ at: "2026-11-28T09:30:00.412Z", actor: "user 17", action: "user.suspended", user_id: 31 }] },
);

const ofAdmin = { auth: "admin", tag: "admin" } as const;
const reads = { ...ofAdmin, scope: "admin:read", method: "GET" } as const;
const writes = { ...ofAdmin, scope: "admin:write" } as const;
const ofUser = { params: Type.Object({ id: Type.Integer({ ...Id, description: "A user." }) }) } as const;
const page = Type.Object({ ...pageQuery }, { additionalProperties: false });

export const ADMIN_ROUTES = {
  reportMessage: {
    auth: "session",
    scope: "messages:send",
    tag: "people",
    method: "POST",
    path: "/api/messages/{id}/report",
    summary: "Report a message to the moderators",
    description:
      "One that somebody else sent. They see it as it is now, even if it is deleted later, and who reported it. A second report of the same message takes the place of the first.",
    params: Type.Object({ id: MessageId }),
    body: ReportMessage,
    bodyLimit: 2 * SMALL_BYTES,
    answer: { status: 204, description: "It is reported." },
    problems: ["full", "no_such_message"],
  },
  confirmPassword: {
    auth: "session",
    tag: "admin",
    method: "POST",
    path: "/api/sessions/confirm",
    summary: "Give one's password again",
    description:
      "For 15 minutes, this session may do what is for administrators. A session that began within that time may, too.",
    body: ConfirmPassword,
    bodyLimit: PASSWORD_BYTES,
    answer: { status: 204, description: "The session may do that." },
    problems: ["wrong_password", "wrong_code", "too_many_attempts"],
  },
  listUsers: {
    ...reads,
    path: "/api/admin/users",
    summary: "List accounts",
    description: "By their ids.",
    query: Type.Object(
      {
        admins: Type.Optional(Type.Boolean({ description: "Only administrators." })),
        name: Type.Optional(
          Type.String({ minLength: 1, maxLength: 254, description: "The one who signs in by this name alone: a whole one." }),
        ),
        ...pageQuery,
      },
      { additionalProperties: false },
    ),
    answer: { status: 200, description: "A page of accounts.", body: AdminAccounts },
    problems: ["forbidden", "confirm_password"],
  },
  readUser: {
    ...reads,
    ...ofUser,
    path: "/api/admin/users/{id}",
    summary: "Read an account",
    description: "As an administrator sees it.",
    answer: { status: 200, description: "The account.", body: AdminAccount },
    problems: ["forbidden", "confirm_password", "no_such_user"],
  },
  suspendUser: {
    ...writes,
    ...ofUser,
    method: "POST",
    path: "/api/admin/users/{id}/suspend",
    summary: "Suspend an account",
    description: "Its sessions and API tokens end, nobody signs in to it, and nothing is pushed to it: what is sent to it waits.",
    answer: { status: 200, description: "The account as it is now.", body: AdminAccount },
    problems: ["forbidden", "confirm_password", "no_such_user"],
  },
  restoreUser: {
    ...writes,
    ...ofUser,
    method: "POST",
    path: "/api/admin/users/{id}/restore",
    summary: "End the suspension of an account",
    description: "Endpoints go on, but for those of log-ins, which begin again with one. API tokens have to be made anew.",
    answer: { status: 200, description: "The account as it is now.", body: AdminAccount },
    problems: ["forbidden", "confirm_password", "no_such_user"],
  },
  signOutUser: {
    ...writes,
    ...ofUser,
    method: "POST",
    path: "/api/admin/users/{id}/sign-out",
    summary: "End all sessions and API tokens of an account",
    description: "The user can sign in again afterwards.",
    answer: { status: 200, description: "The account as it is now.", body: AdminAccount },
    problems: ["forbidden", "confirm_password", "no_such_user"],
  },
  changePlan: {
    ...writes,
    ...ofUser,
    method: "PUT",
    path: "/api/admin/users/{id}/plan",
    summary: "Put an account on another plan",
    description: "By which its requests are limited (`RATE_LIMITS`).",
    body: ChangePlan,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The account as it is now.", body: AdminAccount },
    problems: ["forbidden", "confirm_password", "no_such_user"],
  },
  eraseUser: {
    ...writes,
    ...ofUser,
    method: "DELETE",
    path: "/api/admin/users/{id}",
    summary: "Erase an account",
    description: "As its user can.",
    answer: { status: 204, description: "It is gone." },
    problems: ["forbidden", "confirm_password", "no_such_user"],
  },
  createInvitation: {
    ...writes,
    method: "POST",
    path: "/api/admin/invitations",
    summary: "Invite somebody",
    description: "Makes an invitation, which is good for one account where `REGISTRATION=invited`.",
    isSecret: true,
    body: NewInvitation,
    bodyLimit: SMALL_BYTES,
    answer: { status: 201, description: "The invitation.", body: MadeInvitation },
    problems: ["forbidden", "confirm_password"],
  },
  listInvitations: {
    ...reads,
    path: "/api/admin/invitations",
    summary: "List invitations",
    description: "By their ids. Those that were used, or have ended, are kept for a month.",
    query: page,
    answer: { status: 200, description: "A page of invitations.", body: Invitations },
    problems: ["forbidden", "confirm_password"],
  },
  deleteInvitation: {
    ...writes,
    method: "DELETE",
    path: "/api/admin/invitations/{id}",
    summary: "End an invitation",
    description: "Nobody makes an account by it any more. An account that was made by it stays.",
    params: Type.Object({ id: Type.Integer({ ...Id, description: "An invitation." }) }),
    answer: { status: 204, description: "It is gone." },
    problems: ["forbidden", "confirm_password", "no_such_invitation"],
  },
  listFailingEndpoints: {
    ...reads,
    path: "/api/admin/endpoints",
    summary: "List endpoints that fail",
    description: "That have failed since they last took something, are off, or have dead letters; by their ids.",
    query: page,
    answer: { status: 200, description: "A page of endpoints.", body: AdminEndpoints },
    problems: ["forbidden", "confirm_password"],
  },
  replayLettersOfEndpoint: {
    ...writes,
    method: "POST",
    path: "/api/admin/endpoints/{id}/replay-dead-letters",
    summary: "Push the dead letters of an endpoint again",
    description: "The oldest 1,000 of them at most: ask again for more.",
    params: Type.Object({ id: Type.Integer({ ...Id, description: "An endpoint." }) }),
    answer: { status: 200, description: "How many are pushed again.", body: ReplayedLetters },
    problems: ["forbidden", "confirm_password", "no_such_endpoint"],
  },
  readQueue: {
    ...reads,
    path: "/api/admin/queue",
    summary: "See what waits",
    description: "In the database. Prometheus has more of it.",
    answer: { status: 200, description: "What waits.", body: AdminQueue },
    problems: ["forbidden", "confirm_password"],
  },
  listReports: {
    ...reads,
    path: "/api/admin/reports",
    summary: "List reports of messages",
    description: "Those that nobody has resolved, the oldest first; or those that somebody has.",
    query: Type.Object(
      { resolved: Type.Optional(Type.Boolean({ description: "Those that are resolved." })), ...pageQuery },
      { additionalProperties: false },
    ),
    answer: { status: 200, description: "A page of reports.", body: MessageReports },
    problems: ["forbidden", "confirm_password"],
  },
  resolveReport: {
    ...writes,
    method: "POST",
    path: "/api/admin/reports/{id}/resolve",
    summary: "Resolve a report",
    description: "And all others of the same message.",
    params: Type.Object({ id: Type.Integer({ ...Id, description: "A report." }) }),
    body: ResolveReport,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The report as it is now.", body: MessageReport },
    problems: ["forbidden", "confirm_password", "no_such_report"],
  },
  listAuditLog: {
    ...reads,
    path: "/api/admin/audit",
    summary: "Read what administrators did",
    description: "The latest 1,000, the newest first.",
    answer: { status: 200, description: "What was done.", body: AuditLog },
    problems: ["forbidden", "confirm_password"],
  },
} as const satisfies Record<string, Route>;
