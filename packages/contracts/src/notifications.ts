import { type Static, Type } from "typebox";
import { Timestamp } from "./fields.ts";
import { idempotencyKey, MESSAGE_ID, MessageId } from "./messages.ts";
import { pageQuery } from "./pages.ts";
import { type Route, shape } from "./route.ts";

const NotificationType = Type.Union([Type.Literal("email"), Type.Literal("sms"), Type.Literal("whatsapp")]);
const NotificationStatus = Type.Union(
  [Type.Literal("queued"), Type.Literal("sent"), Type.Literal("delivered"), Type.Literal("failed")],
  {
    description:
      "`queued` until its provider has taken it, which makes it `sent`; `delivered` or `failed` as the provider reports, or `failed` where it never takes it. It never goes back.",
  },
);

const MAX_CONTENT = 65_536;
/** In escapes, of six bytes for each character. */
const NOTIFICATION_BYTES = MAX_CONTENT * 6 + 16 * 1024;

const recipient = Type.String({
  minLength: 3,
  maxLength: 254,
  description: "An e-mail address, or a phone number with its country's code.",
});
const content = Type.String({
  minLength: 1,
  maxLength: MAX_CONTENT,
  description: "Plain text: 1,600 characters at most by SMS, 4,096 by WhatsApp.",
});

const Template = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 512,
      description: "As the provider knows it: its name with Meta, its `ContentSid` with Twilio.",
    }),
    language: Type.Optional(Type.String({ pattern: "^[a-z]{2,3}(_[A-Z]{2})?$", description: "`en_US`; `en` if not given." })),
    variables: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), {
        maxItems: 20,
        description: "What stands in its blanks, in their order.",
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      "Of WhatsApp, in the place of `content`: a text that the provider has approved. Nothing else can be sent to who has not written within 24 hours.",
  },
);

export const NewNotification = shape(
  "NewNotification",
  {
    type: NotificationType,
    recipient,
    content: Type.Optional(content),
    template: Type.Optional(Template),
    subject: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: "Of an e-mail." })),
    send_at: Type.Optional(
      Type.String({ minLength: 10, maxLength: 40, description: "When to send it (RFC 3339): within thirty days." }),
    ),
  },
  { type: "email" as const, recipient: "ada@example.org", subject: "Your parcel", content: "It has arrived." },
  { additionalProperties: false },
);
export type NewNotification = Static<typeof NewNotification>;

const NOTIFICATION_EXAMPLE = {
  notification_id: MESSAGE_ID,
  type: "email" as const,
  recipient: "ada@example.org",
  status: "queued" as const,
  reason: null,
  provider: "smtp",
  send_at: null,
  reported_at: null,
  created_at: "2026-11-28T09:30:00.412Z",
};

const notificationFields = {
  notification_id: Type.String(),
  type: NotificationType,
  recipient: Type.String({ description: "As it is sent to: a phone number in the form of E.164." }),
  status: NotificationStatus,
  reason: Type.Union([Type.String(), Type.Null()], { description: "Why it failed." }),
  provider: Type.String({
    description: "Who delivers it: `smtp`, `twilio`, `meta` or `twilio, meta`; `log` where nobody does, and it is sent nowhere.",
  }),
  send_at: Type.Union([Timestamp, Type.Null()]),
  reported_at: Type.Union([Timestamp, Type.Null()], {
    description: "When its provider reported that it was delivered, or has failed.",
  }),
  created_at: Timestamp,
};

export const Notification = shape("Notification", notificationFields, NOTIFICATION_EXAMPLE);
export type Notification = Static<typeof Notification>;

export const NotificationWithHistory = shape(
  "NotificationWithHistory",
  {
    ...notificationFields,
    attempts: Type.Array(
      Type.Object({
        at: Timestamp,
        outcome: Type.String({
          description: "`delivered` where the provider took it; `transient`, `rejected`, `gone` or `blocked`.",
        }),
        status: Type.Union([Type.Integer(), Type.Null()], { description: "Of the provider's answer: HTTP or SMTP." }),
        ms: Type.Integer({ minimum: 0 }),
        error: Type.Union([Type.String(), Type.Null()]),
      }),
      { description: "The first one first." },
    ),
  },
  {
    ...NOTIFICATION_EXAMPLE,
    status: "sent" as const,
    attempts: [{ at: "2026-11-28T09:30:00.731Z", outcome: "delivered", status: 250, ms: 48, error: null }],
  },
);

export const Notifications = shape(
  "Notifications",
  {
    notifications: Type.Array(Notification),
    next_cursor: Type.Union([Type.String(), Type.Null()], {
      description: "Gets the next page, even if this one is empty; null where there is none.",
    }),
  },
  { notifications: [NOTIFICATION_EXAMPLE], next_cursor: null },
);

/** What a provider posts; of all fields those that are looked at. */
const TwilioStatus = Type.Object(
  {
    MessageSid: Type.String({ maxLength: 100 }),
    MessageStatus: Type.String({ maxLength: 40 }),
    ErrorCode: Type.Optional(Type.String({ maxLength: 20 })),
  },
  { title: "TwilioStatus", examples: [{ MessageSid: "SM0", MessageStatus: "delivered" }] },
);

const MetaStatus = Type.Object(
  {
    object: Type.String({ maxLength: 100 }),
    entry: Type.Array(
      Type.Object({ changes: Type.Optional(Type.Array(Type.Object({ value: Type.Optional(Type.Unknown()) }))) }),
      { maxItems: 1_000 },
    ),
  },
  { title: "MetaStatus", examples: [{ object: "whatsapp_business_account", entry: [] }] },
);

const CALLBACK_BYTES = 256 * 1024;
const ofCallback = { auth: "public", tag: "notifications", bodyLimit: CALLBACK_BYTES } as const;

const ofNotification = { auth: "session", scope: "notify", tag: "notifications" } as const;

export const NOTIFICATION_ROUTES = {
  createNotification: {
    ...ofNotification,
    limit: "send",
    method: "POST",
    path: "/api/notifications",
    summary: "Send a notification to an outside address",
    description:
      "By e-mail, SMS or WhatsApp: for administrators, or whom else the operator allows it (`NOTIFY`). Those to one address are sent in order, and again until its provider has taken them. A channel that no provider is set up for is `no_such_channel`; `pnpm start` pretends to send where there is none, and says so by the provider `log`. With `Idempotency-Key`, a repeat gets the first answer.",
    headers: idempotencyKey,
    body: NewNotification,
    bodyLimit: NOTIFICATION_BYTES,
    answer: {
      status: 202,
      description: "It is durable, and on its way, or waits for its time.",
      body: Notification,
      headers: { location: { description: "Where it can be read.", schema: Type.String() } },
    },
    problems: ["forbidden", "no_such_channel", "suppressed", "idempotency_key_reused"],
  },
  listNotifications: {
    ...ofNotification,
    method: "GET",
    path: "/api/notifications",
    summary: "List the notifications that you have sent",
    description: "The newest first.",
    query: Type.Object({
      ...pageQuery,
      type: Type.Optional(NotificationType),
      status: Type.Optional(NotificationStatus),
    }),
    answer: { status: 200, description: "A page of them.", body: Notifications },
    problems: ["forbidden"],
  },
  readNotification: {
    ...ofNotification,
    method: "GET",
    path: "/api/notifications/{id}",
    summary: "Read a notification, with its whole history",
    description: "Every attempt to send it, with what its provider answered.",
    params: Type.Object({ id: MessageId }),
    answer: { status: 200, description: "The notification.", body: NotificationWithHistory },
    problems: ["forbidden", "no_such_notification"],
  },
  reportTwilioStatus: {
    ...ofCallback,
    method: "POST",
    path: "/api/callbacks/twilio",
    signed: "form",
    limit: "none",
    summary: "What became of a message, by Twilio",
    description:
      "For Twilio, which signs it (`X-Twilio-Signature`). The address is given with each message, if `PUBLIC_URL` is set.",
    query: Type.Object({ notification: MessageId }),
    body: TwilioStatus,
    answer: { status: 204, description: "It is noted, or was known." },
    problems: ["forged"],
  },
  reportMetaStatus: {
    ...ofCallback,
    method: "POST",
    path: "/api/callbacks/meta",
    signed: "json",
    limit: "none",
    summary: "What became of messages, by Meta",
    description: "For Meta, which signs it (`X-Hub-Signature-256`, by `META_APP_SECRET`).",
    body: MetaStatus,
    answer: { status: 204, description: "It is noted, or was known." },
    problems: ["forged"],
  },
  confirmMetaCallback: {
    ...ofCallback,
    method: "GET",
    path: "/api/callbacks/meta",
    summary: "Confirm the address of Meta's callback",
    description: "For Meta, when the callback is set up there with `META_VERIFY_TOKEN`.",
    query: Type.Object({
      "hub.mode": Type.Literal("subscribe"),
      "hub.verify_token": Type.String({ minLength: 1, maxLength: 200 }),
      "hub.challenge": Type.String({ minLength: 1, maxLength: 200, pattern: "^[0-9A-Za-z_-]+$" }),
    }),
    answer: {
      status: 200,
      description: "The challenge, as text.",
    },
    problems: ["forged"],
  },
} as const satisfies Record<string, Route>;
