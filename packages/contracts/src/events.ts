import { type Static, Type } from "typebox";
import { Id, Seq, Timestamp } from "./fields.ts";
import { PREFERENCES } from "./conversations.ts";
import { CONTENT_EXAMPLE, MESSAGE_EXAMPLE, receiverId } from "./messages.ts";
import { type Route, shape } from "./route.ts";

const EVENT_EXAMPLE = {
  seq: 4,
  id: MESSAGE_EXAMPLE.message_id,
  type: "message.created",
  timestamp: MESSAGE_EXAMPLE.created_at,
  conversation_id: 9,
  message_id: MESSAGE_EXAMPLE.message_id,
  ...CONTENT_EXAMPLE,
  version: 1,
};

export const Event = shape(
  "Event",
  {
    seq: Seq,
    id: Type.String({ description: "A repeat, by whatever way it comes, carries the same one." }),
    type: Type.String({
      description:
        "What happened: `message.created`, or `message.sent` from another session of one's own; `message.requested`, from a stranger whom one has not accepted (`message.created` follows once one has); `message.edited`; `message.deleted`; `reaction.added` and `reaction.removed`; `receipt.read`; `conversation.created` and `conversation.changed` (its title, or how long it keeps its messages); `member.added`, `member.changed` (the role), `member.left` and `member.removed`; `preferences.changed`; `endpoint.failing` (a day before it is disabled), `endpoint.disabled` and `dead_letter.created`, of one's own endpoints. There will be more: pass over those you do not know.",
    }),
    timestamp: Timestamp,
    conversation_id: Type.Union([Id, Type.Null()]),
    message_id: Type.Union([Type.String(), Type.Null()]),
    message: Type.Optional(
      Type.String({
        description:
          "The text of this version. Absent, as are the fields after it, where it was deleted since, and where the event tells of no text.",
      }),
    ),
    sender_id: Type.Optional(Id),
    sender_username: Type.Optional(Type.String()),
    receiver_id: Type.Optional(receiverId),
    send_date: Type.Optional(Type.String()),
    reply_to: Type.Optional(Type.String({ description: "The message that it answers." })),
    version: Type.Optional(Type.Integer({ minimum: 1, description: "Of the message: 1 as it was sent." })),
    user_id: Type.Optional(
      Type.Integer({ ...Id, description: "Who has read up to the message, who reacted, or the member that it is about." }),
    ),
    by_user_id: Type.Optional(Type.Integer({ ...Id, description: "Who did it, where it was done to somebody, or to a group." })),
    emoji: Type.Optional(Type.String({ description: "Of a reaction." })),
    keep_days: Type.Optional(
      Type.Union([Type.Integer(), Type.Null()], {
        description: "Of `conversation.changed`: for how many days messages are kept, where that is what changed.",
      }),
    ),
    title: Type.Optional(
      Type.String({ description: "Of the group: `conversation.created`, `conversation.changed`, `member.added`." }),
    ),
    username: Type.Optional(Type.Union([Type.String(), Type.Null()], { description: "Of `member.added`." })),
    role: Type.Optional(Type.String({ description: "Of `member.added` and `member.changed`: what they are now." })),
    members: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: "How many take part now: where a group was made, and where somebody came or went.",
      }),
    ),
    owner_id: Type.Optional(
      Type.Integer({ ...Id, description: "Of `member.left`: who is an owner instead, where the account was deleted." }),
    ),
    endpoint_id: Type.Optional(Type.Integer({ ...Id, description: "Of `endpoint.…` and `dead_letter.created`." })),
    reason: Type.Optional(
      Type.Union([Type.String(), Type.Null()], { description: "Why it was disabled, or the event became a dead letter." }),
    ),
    failing_since: Type.Optional(Timestamp),
    disabled_at: Type.Optional({ ...Timestamp, description: "When it is disabled, if it takes nothing until then." }),
    event_seq: Type.Optional(Type.Integer({ minimum: 1, description: "Of the dead letter: the event that was rejected." })),
    event_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    preferences: Type.Optional(
      Type.Object(PREFERENCES, { description: "Of `preferences.changed`: all of them, as they are now." }),
    ),
  },
  EVENT_EXAMPLE,
);
export type Event = Static<typeof Event>;

export const EventPage = shape(
  "EventPage",
  {
    events: Type.Array(Event),
    next_after: Type.Integer({ minimum: 0, description: "`after` of the next call." }),
    has_more: Type.Boolean({ description: "Whether there are more now." }),
  },
  { events: [EVENT_EXAMPLE], next_after: 4, has_more: false },
);
export type EventPage = Static<typeof EventPage>;

const after = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: "A `seq`; 0 for all events." });

export const Ticket = shape(
  "Ticket",
  { ticket: Type.String(), expires_in: Type.Integer({ description: "Seconds." }) },
  { ticket: "GmVq0dLk1fE8u3yRzq2b1w", expires_in: 30 },
);

export const EVENT_ROUTES = {
  createTicket: {
    scope: "messages:read",
    method: "POST",
    path: "/api/events/tickets",
    auth: "session",
    tag: "events",
    summary: "Get a ticket for a stream",
    description:
      "For clients that cannot set headers, as `EventSource` cannot: it opens one stream, within 30 s, by `?ticket=`. The stream ends with the session that the ticket was made in.",
    isSecret: true,
    answer: { status: 201, description: "The ticket.", body: Ticket },
    problems: [],
  },
  pullEvents: {
    scope: "messages:read",
    method: "GET",
    path: "/api/events",
    auth: "session",
    tag: "events",
    summary: "Read what happened since",
    description:
      "Events of one's inbox in their order, for clients without an address to push to. Reading changes nothing: other clients and addresses keep their own place.",
    query: Type.Object(
      {
        after,
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description: "At most so many; 100 if not given." })),
      },
      { additionalProperties: false },
    ),
    answer: { status: 200, description: "The next events.", body: EventPage },
    problems: ["no_such_event"],
  },
  streamEvents: {
    scope: "messages:read",
    method: "GET",
    path: "/api/events/stream",
    auth: "ticket",
    tag: "events",
    summary: "Follow what happens",
    description:
      "Server-sent events: `id` is the `seq`, `event` the type, `data` the JSON of the event. It begins after `Last-Event-ID`, or `after`; without either, with what happens next. A line of comment comes every 15 s while nothing happens. The first event is `resync` where the place to begin at is not in the log: read the lists anew. Two kinds are ephemeral, and come without an `id`: `typing` (`user_id`, `conversation_id`; over after 6 s) and `presence` (`user_id` is there; over after 60 s). It ends with its session, or where the client does not read what is sent; begin again after the last `id`.",
    query: Type.Object(
      {
        after: Type.Optional(after),
        ticket: Type.Optional(
          Type.String({ maxLength: 100, description: "In place of an access token, for clients that cannot set headers." }),
        ),
      },
      { additionalProperties: false },
    ),
    headers: Type.Object({
      "last-event-id": Type.Optional(
        Type.String({ pattern: "^[0-9]{0,16}$", description: "As browsers send it when they connect again." }),
      ),
    }),
    answer: { status: 200, description: "Events, for as long as the client listens.", stream: "text/event-stream" },
    problems: ["too_many_streams"],
  },
} as const satisfies Record<string, Route>;
