import { type Static, Type } from "typebox";
import { Id, Timestamp } from "./fields.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";

const ContactType = Type.Union([Type.Literal("email"), Type.Literal("sms"), Type.Literal("push")], {
  description: "`push` is a browser, by Web Push.",
});

const time = (description: string) => Type.String({ pattern: "^([01][0-9]|2[0-3]):[0-5][0-9]$", description });

const QuietHours = Type.Object(
  {
    from: time("`22:00`; they may go over midnight."),
    until: time("`07:00`"),
    time_zone: Type.String({ minLength: 1, maxLength: 64, description: "Of the IANA database: `Europe/Berlin`." }),
  },
  { additionalProperties: false, description: "When nothing is sent: it waits until they are over." },
);

const fields = {
  shows_content: Type.Boolean({ description: "Whether a notice says what was written: false if not given." }),
  language: Type.Union([Type.Literal("en"), Type.Literal("de")], { description: "Of the texts: `en` if not given." }),
  delay_s: Type.Integer({
    minimum: 0,
    maximum: 3600,
    description: "Seconds that one has to read a message before a notice of it: 5 for `push`, 60 for others if not given.",
  }),
  window_s: Type.Integer({
    minimum: 60,
    maximum: 86_400,
    description: "Seconds between two notices of one conversation, at least: 300 if not given.",
  }),
  quiet_hours: Type.Union([QuietHours, Type.Null()]),
};

const optionalFields = {
  shows_content: Type.Optional(fields.shows_content),
  language: Type.Optional(fields.language),
  delay_s: Type.Optional(fields.delay_s),
  window_s: Type.Optional(fields.window_s),
  quiet_hours: Type.Optional(fields.quiet_hours),
};

/** Of a subscription: what `PushSubscription.toJSON()` gives. */
const Subscription = Type.Object(
  {
    endpoint: Type.String({ minLength: 1, maxLength: 1_000 }),
    expirationTime: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
    keys: Type.Object(
      {
        p256dh: Type.String({ minLength: 1, maxLength: 200, pattern: "^[A-Za-z0-9_-]+=*$" }),
        auth: Type.String({ minLength: 1, maxLength: 100, pattern: "^[A-Za-z0-9_-]+=*$" }),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false, description: "Of `push`: what the browser's `PushSubscription.toJSON()` gives." },
);

export const NewContact = shape(
  "NewContact",
  {
    type: ContactType,
    recipient: Type.Optional(
      Type.String({
        minLength: 3,
        maxLength: 254,
        description: "An e-mail address, or a phone number with its country's code; not of `push`.",
      }),
    ),
    subscription: Type.Optional(Subscription),
    ...optionalFields,
  },
  { type: "email" as const, recipient: "ada@example.org", language: "de" as const },
  { additionalProperties: false },
);
export type NewContact = Static<typeof NewContact>;

export const ChangeContact = shape(
  "ChangeContact",
  optionalFields,
  { shows_content: true },
  { additionalProperties: false, minProperties: 1, description: "What is not given stays as it is." },
);
export type ChangeContact = Static<typeof ChangeContact>;

const CONTACT_EXAMPLE = {
  contact_id: 3,
  type: "email" as const,
  recipient: "ada@example.org",
  state: "unverified" as const,
  shows_content: false,
  language: "de" as const,
  delay_s: 60,
  window_s: 300,
  quiet_hours: { from: "22:00", until: "07:00", time_zone: "Europe/Berlin" },
  created_at: "2026-11-28T09:30:00.412Z",
};

export const Contact = shape(
  "Contact",
  {
    contact_id: Id,
    type: ContactType,
    recipient: Type.String({ description: "As it is sent to; of `push`, the origin of the browser's push service." }),
    state: Type.Union([Type.Literal("active"), Type.Literal("unverified")], {
      description: "Nothing but a code is sent to one that is `unverified`.",
    }),
    ...fields,
    created_at: Timestamp,
  },
  CONTACT_EXAMPLE,
);
export type Contact = Static<typeof Contact>;

export const Contacts = shape("Contacts", { contacts: Type.Array(Contact) }, { contacts: [CONTACT_EXAMPLE] });

export const VerifyContact = shape(
  "VerifyContact",
  { code: Type.String({ pattern: "^[0-9]{6}$", description: "Six digits." }) },
  { code: "042617" },
  { additionalProperties: false },
);

export const PushKey = shape(
  "PushKey",
  { public_key: Type.String({ description: "The `applicationServerKey` to subscribe with, in base64url." }) },
  { public_key: "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8" },
);

const params = Type.Object({ id: Id });
const token = Type.Object({ token: Type.String({ minLength: 10, maxLength: 64, pattern: "^[A-Za-z0-9_-]+$" }) });
/** In the query, as no log has that. */
const ofToken = { auth: "public", tag: "contacts", query: token } as const;
const ofContact = { auth: "session", tag: "contacts" } as const;
const ONE = "/api/contacts/{id}";

export const CONTACT_ROUTES = {
  readPushKey: {
    method: "GET",
    path: "/api/push-key",
    auth: "public",
    tag: "contacts",
    summary: "Read the key that browsers subscribe with",
    description: "It never changes.",
    answer: { status: 200, description: "The key.", body: PushKey },
    problems: [],
  },
  listContacts: {
    ...ofContact,
    method: "GET",
    path: "/api/contacts",
    summary: "List where you are told of messages",
    description: "A browser whose push service says that its subscription is no more is not there any more.",
    answer: { status: 200, description: "All of them.", body: Contacts },
    problems: [],
  },
  createContact: {
    ...ofContact,
    method: "POST",
    path: "/api/contacts",
    summary: "Be told of messages elsewhere",
    description:
      "By e-mail, SMS, or in a browser: where you have not read a message for some time (`delay_s`), you are told that somebody wrote; of each conversation once in a while (`window_s`). An address is yours once you have shown that: a code is sent there, for `verifyContact`. A browser needs none. It is one as long as the session in which it was made; where it subscribes again, it gives its new keys, and keeps what is not given.",
    body: NewContact,
    bodyLimit: 16 * 1024,
    answer: {
      status: 201,
      description: "The contact: `unverified`, unless it is a browser.",
      body: Contact,
      headers: { location: { description: "Where it can be read.", schema: Type.String() } },
    },
    problems: ["taken", "full", "no_such_channel", "unusable_address"],
  },
  readContact: {
    ...ofContact,
    method: "GET",
    path: ONE,
    summary: "Read a contact",
    description: "With its settings.",
    params,
    answer: { status: 200, description: "The contact.", body: Contact },
    problems: ["no_such_contact"],
  },
  changeContact: {
    ...ofContact,
    method: "PATCH",
    path: ONE,
    summary: "Change a contact",
    description: "What is not named stays as it is. Its address cannot be changed: make another one.",
    params,
    body: ChangeContact,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The contact, as it is now.", body: Contact },
    problems: ["no_such_contact"],
  },
  deleteContact: {
    ...ofContact,
    method: "DELETE",
    path: ONE,
    summary: "Delete a contact",
    description: "No further notice is sent there; one that is being sent may still arrive.",
    params,
    answer: { status: 204, description: "It is deleted." },
    problems: ["no_such_contact"],
  },
  sendContactCode: {
    ...ofContact,
    method: "POST",
    path: `${ONE}/code`,
    summary: "Send a contact its code once more",
    description:
      "The code before is of no use any more. Once a minute, and five times in an hour. An address gets five codes in an hour and ten in a day, whoever asks: where it had those, the answer is the same, and none is sent.",
    params,
    answer: { status: 204, description: "It is on its way." },
    problems: ["no_such_contact", "taken", "no_such_channel", "suppressed", "too_many_codes"],
  },
  verifyContact: {
    ...ofContact,
    method: "POST",
    path: `${ONE}/verify`,
    summary: "Show that the address of a contact is yours",
    description: "By the code that was sent there: it is good for 15 minutes, and five tries.",
    params,
    body: VerifyContact,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The contact, which is used from now on.", body: Contact },
    problems: ["no_such_contact", "wrong_code"],
  },
  showUnsubscribe: {
    ...ofToken,
    method: "GET",
    path: "/api/unsubscribe",
    summary: "Show a page that ends notices",
    description: "For a person: it asks whether nothing more is to be sent. Nothing is changed by looking at it.",
    answer: { status: 200, description: "The page." },
    problems: [],
  },
  unsubscribe: {
    ...ofToken,
    method: "POST",
    path: "/api/unsubscribe",
    takesAnyForm: true,
    summary: "Get no more notices",
    description: "By the token in an e-mail, as mail programs do it by one click (RFC 8058). It ends the contact.",
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "As text: nothing more is sent there, or nothing was any more." },
    problems: [],
  },
} as const satisfies Record<string, Route>;
