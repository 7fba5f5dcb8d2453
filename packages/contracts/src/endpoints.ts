import { type Static, Type } from "typebox";
import { Id, Seq, Timestamp, UserAddress } from "./fields.ts";
import { MESSAGE_ID, MessageId } from "./messages.ts";
import { pageQuery } from "./pages.ts";
import { type Route, shape, SMALL_BYTES } from "./route.ts";

/** Headers have up to 8 KiB, in escapes of six bytes for each character. */
const ENDPOINT_BYTES = 64 * 1024;

const kinds = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
  minItems: 1,
  maxItems: 64,
  uniqueItems: true,
  description:
    "The `type`s of events that are pushed to it; `*` for all, those that come later, too. `message.created` alone if not given.",
});
const body = Type.Union([Type.Literal("full"), Type.Literal("thin")], {
  description:
    "`thin` pushes say what happened, but not what was written: `type`, `id`, `seq`, `timestamp`, `conversation_id`, `message_id`.",
});
const headers = Type.Record(Type.String(), Type.String(), {
  description:
    "Sent with each push: up to 20, of 8 KiB in all. Their values are not shown again. Not those of the connection, of the body, or of the signature.",
});
const timeout_s = Type.Integer({ minimum: 1, maximum: 30, description: "Seconds that an attempt may take; 15 if not given." });
const max_per_second = Type.Union([Type.Integer({ minimum: 1, maximum: 1000 }), Type.Null()], {
  description: "Pushes that begin in a second, at most; null for as many as it takes.",
});
const max_in_flight = Type.Integer({
  minimum: 1,
  maximum: 32,
  description:
    "Pushes of it in flight at the same time, at most: 1 if not given. So many are pushed together, and the next ones once all are answered. With more than one, it may get events that came one after the other in any order, and what was pushed beside one that it did not take again.",
});
const signatures = Type.Array(Type.Union([Type.Literal("v1"), Type.Literal("v1a")]), {
  minItems: 1,
  maxItems: 2,
  uniqueItems: true,
  description: "How pushes are signed: `v1` (HMAC-SHA-256) always; `v1a` (ed25519) beside it where it is named.",
});
const settings = {
  kinds: Type.Optional(kinds),
  body: Type.Optional(body),
  headers: Type.Optional(headers),
  timeout_s: Type.Optional(timeout_s),
  max_per_second: Type.Optional(max_per_second),
  max_in_flight: Type.Optional(max_in_flight),
  signatures: Type.Optional(signatures),
};

export const NewEndpoint = shape(
  "NewEndpoint",
  {
    address: UserAddress,
    ...settings,
    enabled: Type.Optional(
      Type.Boolean({ description: "Whether pushes begin once its address is verified: true if not given." }),
    ),
    after: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description:
          "A `seq`: it gets the events after it, from 0 on all that the log holds; if not given, what happens from now on.",
      }),
    ),
  },
  { address: "https://example.org/hooks/ada", kinds: ["message.created"] },
  { additionalProperties: false },
);
export type NewEndpoint = Static<typeof NewEndpoint>;

export const ChangeEndpoint = shape(
  "ChangeEndpoint",
  { address: Type.Optional(UserAddress), ...settings },
  { timeout_s: 30 },
  {
    additionalProperties: false,
    minProperties: 1,
    description: "What is not given stays as it is. Another `address` must answer a challenge first.",
  },
);
export type ChangeEndpoint = Static<typeof ChangeEndpoint>;

const ENDPOINT_EXAMPLE = {
  endpoint_id: 5,
  address: "https://example.org/hooks/ada",
  channel: "webhook",
  kinds: ["message.created"],
  body: "full" as const,
  header_names: [],
  timeout_s: 15,
  max_per_second: null,
  max_in_flight: 1,
  signatures: ["v1" as const],
  public_key: null,
  state: "active" as const,
  reason: null,
  made_by: "owner" as const,
  cursor: 41,
  waiting: 0,
  failures: 0,
  failing_since: null,
  retry_at: null,
  dead_letters: 0,
  created_at: "2026-11-28T09:30:00.412Z",
};

const endpointFields = {
  endpoint_id: Id,
  address: Type.String(),
  channel: Type.Union([Type.String(), Type.Null()], { description: "What delivers to it; null where nothing does now." }),
  kinds,
  body,
  header_names: Type.Array(Type.String()),
  timeout_s,
  max_per_second,
  max_in_flight,
  signatures,
  public_key: Type.Union([Type.String(), Type.Null()], {
    description: "Verifies signatures of `v1a`; null where there are none.",
  }),
  state: Type.Union([Type.Literal("active"), Type.Literal("disabled"), Type.Literal("unverified")], {
    description: "Nothing is pushed to one that is not `active`. Events wait: they are pushed, in order, once it is enabled.",
  }),
  reason: Type.Union([Type.String(), Type.Null()], { description: "Why it is not active." }),
  made_by: Type.Union([Type.Literal("owner"), Type.Literal("login")], {
    description: "One that a log-in made is disabled with its last session; one that its owner made, or enabled, stays.",
  }),
  cursor: Type.Integer({ minimum: 0, description: "The `seq` up to which it has taken everything." }),
  waiting: Type.Integer({ minimum: 0, description: "Events after that." }),
  failures: Type.Integer({ minimum: 0, description: "Attempts that failed since something was taken." }),
  failing_since: Type.Union([Timestamp, Type.Null()]),
  retry_at: Type.Union([Timestamp, Type.Null()], { description: "When the next attempt is due." }),
  dead_letters: Type.Integer({ minimum: 0, description: "Counted to 1,000." }),
  created_at: Timestamp,
};

export const Endpoint = shape("Endpoint", endpointFields, ENDPOINT_EXAMPLE);
export type Endpoint = Static<typeof Endpoint>;

const WEBHOOK_SECRET = "whsec_aRTiduvy8mi9y7EbKFvC5spxfE4oHL1u";
const webhook_secret = Type.String({ description: "Verifies pushes by Standard Webhooks. It is shown once." });

export const MadeEndpoint = shape(
  "MadeEndpoint",
  { ...endpointFields, webhook_secret },
  { ...ENDPOINT_EXAMPLE, webhook_secret: WEBHOOK_SECRET },
);

export const Endpoints = shape("Endpoints", { endpoints: Type.Array(Endpoint) }, { endpoints: [ENDPOINT_EXAMPLE] });

const ATTEMPT_FIELDS = {
  outcome: Type.String({ description: "`delivered`, `transient`, `rejected`, `gone` or `blocked`." }),
  status: Type.Union([Type.Integer(), Type.Null()], { description: "Of the answer, where one came." }),
  ms: Type.Integer({ minimum: 0, description: "How long it took." }),
  error: Type.Union([Type.String(), Type.Null()], { description: "What went wrong, where the status does not say it." }),
  answer: Type.Union([Type.String(), Type.Null()], { description: "The first KiB of an answer that was no success." }),
};

export const ProbeAnswer = shape("ProbeAnswer", ATTEMPT_FIELDS, {
  outcome: "delivered",
  status: 204,
  ms: 38,
  error: null,
  answer: null,
});
export type ProbeAnswer = Static<typeof ProbeAnswer>;

export const RotateSecret = shape(
  "RotateSecret",
  {
    previous_valid_s: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 604_800,
        description: "Seconds for which pushes are signed by the secret before, too: up to a week; a day if not given.",
      }),
    ),
  },
  { previous_valid_s: 86_400 },
  { additionalProperties: false },
);

export const RotatedSecret = shape(
  "RotatedSecret",
  { webhook_secret, previous_valid_until: Timestamp },
  { webhook_secret: WEBHOOK_SECRET, previous_valid_until: "2026-11-29T09:30:00.412Z" },
);

const since = Type.String({ minLength: 10, maxLength: 40, description: "A moment (RFC 3339)." });
const dry_run = Type.Optional(Type.Boolean({ description: "Only says how many events that would be." }));

export const ReplayEndpoint = shape(
  "ReplayEndpoint",
  {
    after: Type.Optional(
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: "A `seq`; 0 for all events." }),
    ),
    since: Type.Optional(since),
    dry_run,
  },
  { after: 12, dry_run: true },
  { additionalProperties: false, description: "Give `after` or `since`." },
);
export type ReplayEndpoint = Static<typeof ReplayEndpoint>;

export const Replayed = shape(
  "Replayed",
  {
    after: Type.Integer({ minimum: 0, description: "The `seq` after which it begins." }),
    events: Type.Integer({
      minimum: 0,
      description: "Events of its kinds that are pushed again; 100,000 stands for that many or more.",
    }),
  },
  { after: 12, events: 29 },
);

const EVENT_REFERENCE = {
  seq: Type.Integer({ minimum: 0 }),
  event_id: Type.Union([Type.String(), Type.Null()], {
    description: "What its pushes carry as `webhook-id`; null where it is no longer there.",
  }),
  type: Type.Union([Type.String(), Type.Null()]),
  message_id: Type.Union([Type.String(), Type.Null()]),
};
const EVENT_REFERENCE_EXAMPLE = { seq: 12, event_id: MESSAGE_ID, type: "message.created", message_id: MESSAGE_ID };
const next_cursor = Type.Union([Type.String(), Type.Null()], {
  description: "Gets the next page, even if this one is empty; null where there is none.",
});

export const Attempts = shape(
  "Attempts",
  {
    attempts: Type.Array(
      Type.Object({
        ...EVENT_REFERENCE,
        at: Timestamp,
        attempt: Type.Integer({ minimum: 1, description: "In a row, since something was taken." }),
        ...ATTEMPT_FIELDS,
      }),
    ),
    next_cursor,
  },
  {
    attempts: [
      {
        ...EVENT_REFERENCE_EXAMPLE,
        at: "2026-11-28T09:30:00.412Z",
        attempt: 1,
        outcome: "transient",
        status: 503,
        ms: 12,
        error: null,
        answer: "down for maintenance",
      },
    ],
    next_cursor: null,
  },
);

export const DeadLetters = shape(
  "DeadLetters",
  {
    dead_letters: Type.Array(
      Type.Object({
        ...EVENT_REFERENCE,
        at: Timestamp,
        reason: Type.String(),
        is_replaying: Type.Boolean({ description: "It is to be pushed again." }),
      }),
    ),
    next_cursor,
  },
  {
    dead_letters: [
      { ...EVENT_REFERENCE_EXAMPLE, at: "2026-11-28T09:30:00.412Z", reason: "answered 422 3 times", is_replaying: false },
    ],
    next_cursor: null,
  },
);

export const ReplayDeadLetters = shape("ReplayDeadLetters", { since: Type.Optional(since) }, {}, { additionalProperties: false });

export const ReplayedDeadLetters = shape(
  "ReplayedDeadLetters",
  { dead_letters: Type.Integer({ minimum: 0, description: "That are pushed again." }) },
  { dead_letters: 3 },
);

const params = Type.Object({ id: Id });
const letterParams = Type.Object({ id: Id, seq: Seq });
const ofEndpoint = { auth: "session", scope: "endpoints", tag: "endpoints" } as const;
const ONE = "/api/endpoints/{id}";

export const ENDPOINT_ROUTES = {
  listEndpoints: {
    ...ofEndpoint,
    method: "GET",
    path: "/api/endpoints",
    summary: "List your endpoints",
    description: "Those that you made, and those that log-ins made, in the order in which they were made.",
    answer: { status: 200, description: "All of them.", body: Endpoints },
    problems: [],
  },
  createEndpoint: {
    ...ofEndpoint,
    method: "POST",
    path: "/api/endpoints",
    summary: "Make an endpoint",
    description:
      'Before anything else is pushed to it, its address has to show that it wants that: it gets a push of the type `endpoint.verification` with a `challenge`, and has to answer with a 2xx whose body is that text, or `{"challenge": "<the text>"}`. The answer waits some seconds for that; `verifyEndpoint` tries again. The signing secret is shown only here.',
    isSecret: true,
    body: NewEndpoint,
    bodyLimit: ENDPOINT_BYTES,
    answer: {
      status: 201,
      description: "The endpoint: `active`, or `unverified` with the reason. An API token needs the scope `messages:read`, too.",
      body: MadeEndpoint,
      headers: { location: { description: "Where it can be read.", schema: Type.String() } },
    },
    problems: ["taken", "full", "no_such_event", "unusable_address"],
  },
  readEndpoint: {
    ...ofEndpoint,
    method: "GET",
    path: ONE,
    summary: "Read an endpoint",
    description: "With its settings, and how it stands.",
    params,
    answer: { status: 200, description: "The endpoint.", body: Endpoint },
    problems: ["no_such_endpoint"],
  },
  changeEndpoint: {
    ...ofEndpoint,
    method: "PATCH",
    path: ONE,
    summary: "Change an endpoint",
    description:
      "What is not named stays as it is; `headers` replaces all of them. Another `address` has to answer a challenge; what happens meanwhile waits. An API token needs the scope `messages:read`, too.",
    params,
    body: ChangeEndpoint,
    bodyLimit: ENDPOINT_BYTES,
    answer: { status: 200, description: "The endpoint, as it is now.", body: Endpoint },
    problems: ["no_such_endpoint", "taken", "unusable_address"],
  },
  deleteEndpoint: {
    ...ofEndpoint,
    method: "DELETE",
    path: ONE,
    summary: "Delete an endpoint",
    description: "With its dead letters. Nothing more is pushed to it.",
    params,
    answer: { status: 204, description: "It is deleted." },
    problems: ["no_such_endpoint"],
  },
  testEndpoint: {
    ...ofEndpoint,
    method: "POST",
    path: `${ONE}/test`,
    summary: "Push a test to an endpoint",
    description:
      "An event of the type `endpoint.test`, signed as all others, beside the log and whatever its state is. Once in 5 s.",
    params,
    answer: { status: 200, description: "What came of it.", body: ProbeAnswer },
    problems: ["no_such_endpoint", "unusable_address", "not_verified", "probed_lately", "no_probe"],
  },
  verifyEndpoint: {
    ...ofEndpoint,
    method: "POST",
    path: `${ONE}/verify`,
    summary: "Verify the address of an endpoint",
    description: "Sends the challenge once more (see `createEndpoint`), at most once in 5 s. One that is verified stays so.",
    params,
    answer: { status: 200, description: "The endpoint: `unverified` still, with the reason, or not.", body: Endpoint },
    problems: ["no_such_endpoint", "unusable_address", "probed_lately", "no_probe"],
  },
  enableEndpoint: {
    ...ofEndpoint,
    method: "POST",
    path: `${ONE}/enable`,
    summary: "Enable an endpoint",
    description:
      "It goes on from where it was: what happened while it was disabled is pushed now, in order. It counts as one that has not failed.",
    params,
    answer: { status: 200, description: "The endpoint, as it is now.", body: Endpoint },
    problems: ["no_such_endpoint", "unusable_address", "not_verified", "full"],
  },
  disableEndpoint: {
    ...ofEndpoint,
    method: "POST",
    path: `${ONE}/disable`,
    summary: "Disable an endpoint",
    description:
      "Nothing is pushed to it until it is enabled; what happens meanwhile waits. A push that is under way may still arrive.",
    params,
    answer: { status: 200, description: "The endpoint, as it is now.", body: Endpoint },
    problems: ["no_such_endpoint"],
  },
  rotateEndpointSecret: {
    ...ofEndpoint,
    method: "POST",
    path: `${ONE}/rotate-secret`,
    summary: "Give an endpoint another secret",
    description: "For some time, pushes are signed by the secret before, too: `webhook-signature` holds both.",
    isSecret: true,
    params,
    body: RotateSecret,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "The secret, which is shown only here.", body: RotatedSecret },
    problems: ["no_such_endpoint"],
  },
  replayEndpoint: {
    ...ofEndpoint,
    method: "POST",
    path: `${ONE}/replay`,
    summary: "Push the past again",
    description:
      "Sets the endpoint back to a place in the log, if it is beyond that: everything of its kinds from there on is pushed again, in order, with the same ids and the same bytes. Its dead letters from there on are tried again by that.",
    params,
    body: ReplayEndpoint,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "How many events that is.", body: Replayed },
    problems: ["no_such_endpoint"],
  },
  listAttempts: {
    ...ofEndpoint,
    method: "GET",
    path: `${ONE}/attempts`,
    summary: "List attempts at pushes to an endpoint",
    description: "Those at the latest events first. They are kept for thirty days, unless the operator wants it otherwise.",
    params,
    query: Type.Object({
      ...pageQuery,
      since: Type.Optional(since),
      until: Type.Optional(since),
      outcome: Type.Optional(
        Type.Union(
          [
            Type.Literal("delivered"),
            Type.Literal("transient"),
            Type.Literal("rejected"),
            Type.Literal("gone"),
            Type.Literal("blocked"),
          ],
          { description: "`transient` is what is tried again." },
        ),
      ),
      status: Type.Optional(Type.Integer({ minimum: 100, maximum: 999 })),
      type: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: "Of the event." })),
      message_id: Type.Optional(MessageId),
    }),
    answer: { status: 200, description: "A page of them.", body: Attempts },
    problems: ["no_such_endpoint"],
  },
  listDeadLetters: {
    ...ofEndpoint,
    method: "GET",
    path: `${ONE}/dead-letters`,
    summary: "List the dead letters of an endpoint",
    description: "Events that it rejected for good, in the order of the log.",
    params,
    query: Type.Object(pageQuery),
    answer: { status: 200, description: "A page of them.", body: DeadLetters },
    problems: ["no_such_endpoint"],
  },
  replayDeadLetters: {
    ...ofEndpoint,
    method: "POST",
    path: `${ONE}/dead-letters/replay`,
    summary: "Push dead letters again",
    description:
      "All of them, or those that became dead letters since a moment, up to 10,000 at a time: before whatever comes next.",
    params,
    body: ReplayDeadLetters,
    bodyLimit: SMALL_BYTES,
    answer: { status: 200, description: "How many.", body: ReplayedDeadLetters },
    problems: ["no_such_endpoint"],
  },
  replayDeadLetter: {
    ...ofEndpoint,
    method: "POST",
    path: `${ONE}/dead-letters/{seq}/replay`,
    summary: "Push a dead letter again",
    description: "Before whatever comes next. Once it is taken, it is no dead letter any more.",
    params: letterParams,
    answer: { status: 200, description: "How many: 1.", body: ReplayedDeadLetters },
    problems: ["no_such_endpoint", "no_such_dead_letter"],
  },
} as const satisfies Record<string, Route>;
