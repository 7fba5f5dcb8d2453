import type { EventKind, PlainEvent } from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";
import { incarnation } from "./incarnation.ts";
import { IS_LIVE } from "./sessions.ts";

/** A message to append. Its content is sealed under its id. */
export interface NewMessage {
  /** A uuid v7: what makes it safe to append the same message twice. */
  id: string;
  /** The id of the sender's `message.sent` event, should there be one. */
  sentEventId: string;
  senderId: number;
  receiverId: number;
  /** The session that sends. */
  sessionId: number;
  content: Uint8Array;
  /** Milliseconds since the epoch. */
  sentAt: number;
  /** SHA-256 of sender and `Idempotency-Key`. */
  requestKey: Uint8Array | null;
}

/** A message that is in the log. */
export interface AppendedMessage {
  id: string;
  /** In the receiver's inbox; 0 for a repeat whose receiver was deleted since. */
  seq: number;
  conversation: number;
  /** RFC 3339, UTC, with milliseconds. */
  createdAt: string;
}

export type AppendResult =
  /** Appended now. */
  | { status: "appended"; message: AppendedMessage }
  /** Was appended before, under this id or request key. `content` is null once it was erased. */
  | { status: "repeat"; message: AppendedMessage; content: Uint8Array | null }
  /** There is no such receiver: nothing was written. */
  | { status: "no-receiver" };

export interface AppendedBatch {
  /** One for each message, in the order given. */
  results: readonly AppendResult[];
  /** What was appended now, without contents; in the order of `seq` for each inbox. */
  events: readonly Omit<PlainEvent, "content" | "sealed">[];
  /** The outbox row that covers these events; null when there are none. */
  outboxId: number | null;
}

interface EventRow {
  message_id: string;
  event_id: string;
  kind: EventKind;
  inbox: number;
  seq: number;
  version: number;
  conversation: number;
  /** Milliseconds since the epoch: a date costs more to read than all of the row. */
  at: number;
  outbox: number;
}

interface RepeatRow {
  id: string;
  request_key: Uint8Array | null;
  content: Uint8Array | null;
  conversation: number;
  seq: number;
  created_at: Date;
}

/**
 * Appends messages: one statement, one commit for all of them. Safe to call again with the same messages when the outcome of a call is
 * unknown: what the first call wrote is then found as a repeat.
 *
 * Locks, in this order: the inboxes it writes to, by id (so two of these never wait for each other in a circle, and nothing is appended
 * to an inbox that is being deleted); new conversations, by pair; new messages, by id. Two concurrent batches that hold the same
 * two request keys can still deadlock; Postgres then fails one of them, which is tried again.
 */
export async function appendMessages(db: Db, messages: readonly NewMessage[]): Promise<AppendedBatch> {
  const contents = messages.map((message) => message.content);
  const starts: number[] = [];
  let start = 1; // as SQL counts
  for (const content of contents) {
    starts.push(start);
    start += content.length;
  }
  const { rows } = await sql<EventRow>`
    with item as materialized (
      select * from unnest(
        ${messages.map((m) => m.id)}::uuid[],
        ${messages.map((m) => m.sentEventId)}::uuid[],
        ${messages.map((m) => m.senderId)}::bigint[],
        ${messages.map((m) => m.receiverId)}::bigint[],
        ${messages.map((m) => m.sessionId)}::bigint[],
        ${messages.map((m) => new Date(m.sentAt).toISOString())}::timestamptz[],
        ${messages.map((m) => m.requestKey)}::bytea[],
        ${starts}::integer[],
        ${contents.map((content) => content.length)}::integer[]
      ) with ordinality as t (id, sent_id, sender, receiver, session, sent_at, request_key, start, size, n)
    ),
    -- messages whose sender can use another session, too, and is told there
    echoed as materialized (
      select id, sender from item
      where exists (
        select from sessions s where s.user_id = item.sender and s.id <> item.session and ${IS_LIVE}
      )
    ),
    -- reads head and version as they are once the lock is held, which may be later than the snapshot
    box as materialized (
      select id, user_id, head, version from inboxes
      where user_id in (select receiver from item union select sender from echoed)
      order by id for no key update
    ),
    deliverable as materialized (
      select item.*, box.id as inbox, least(sender, receiver) as low, greatest(sender, receiver) as high
      from item join box on box.user_id = item.receiver
    ),
    pair as (select distinct low, high from deliverable),
    found as materialized (
      select c.id, low, high from pair join conversations c on c.low_user_id = low and c.high_user_id = high
    ),
    made as (
      insert into conversations (low_user_id, high_user_id)
      select low, high from pair
      where not exists (select from found where found.low = pair.low and found.high = pair.high)
      order by low, high
      on conflict (low_user_id, high_user_id) do update set low_user_id = excluded.low_user_id
      returning id, low_user_id as low, high_user_id as high
    ),
    joined as (
      insert into participants (conversation_id, user_id)
      select id, low from made union select id, high from made
      on conflict do nothing
    ),
    conversation as (select * from found union all select * from made),
    inserted as (
      insert into messages (id, conversation_id, sender_id, content, request_key, sent_at)
      select d.id, c.id, d.sender, substring(${Buffer.concat(contents)}::bytea from d.start for d.size), d.request_key, d.sent_at
      from deliverable d join conversation c using (low, high)
      order by d.id
      on conflict do nothing
      returning id, conversation_id, (extract(epoch from created_at) * 1000)::float8 as at
    ),
    event as (
      select d.n, d.id as message_id, d.id as event_id, 'message.created' as kind, d.inbox, conversation_id, at
      from deliverable d join inserted using (id)
      union all
      select d.n, d.id, d.sent_id, 'message.sent', box.id, conversation_id, at
      from deliverable d join inserted using (id) join echoed using (id) join box on box.user_id = d.sender
    ),
    numbered as materialized (
      select event.*, box.version + ${incarnation} as version, box.head + row_number() over (partition by box.id order by event.n, event.kind) as seq
      from event join box on box.id = event.inbox
    ),
    moved as (
      update inboxes set head = top.seq
      from (select inbox, max(seq) as seq from numbered group by inbox) as top
      where inboxes.id = top.inbox
    ),
    logged as (
      insert into events (inbox_id, seq, id, kind, message_id)
      select inbox, seq, event_id, kind, message_id from numbered
    ),
    covered as (
      insert into outbox (inbox_ids)
      select array_agg(distinct inbox) from numbered having count(*) > 0
      returning id
    )
    select numbered.message_id, numbered.event_id, numbered.kind, numbered.inbox, numbered.seq, numbered.version,
      numbered.conversation_id as conversation, numbered.at, covered.id as outbox
    from numbered cross join covered
    order by numbered.inbox, numbered.seq
  `.execute(db);

  // All of a batch were created at the same moment.
  const createdAt = new Date(rows[0]?.at ?? 0).toISOString();
  const events = rows.map((row) => ({
    inbox: row.inbox,
    seq: row.seq,
    version: row.version,
    id: row.event_id,
    kind: row.kind,
    messageId: row.message_id,
    conversation: row.conversation,
    createdAt,
  }));
  const appended = new Map<string, AppendedMessage>();
  for (const event of events) {
    if (event.kind !== "message.created") continue;
    const { id, seq, conversation } = event;
    appended.set(id, { id, seq, conversation, createdAt });
  }
  const skipped = messages.filter((message) => !appended.has(message.id));
  const findRepeat = skipped.length === 0 ? undefined : await findRepeats(db, skipped);
  const results = messages.map((message): AppendResult => {
    const now = appended.get(message.id);
    if (now !== undefined) return { status: "appended", message: now };
    return findRepeat?.(message) ?? { status: "no-receiver" };
  });
  return { results, events, outboxId: rows[0]?.outbox ?? null };
}

/**
 * Looks up what the insert skipped. A second statement, because a repeat and its first insert can race, and one statement then sees neither.
 */
async function findRepeats(db: Db, skipped: readonly NewMessage[]): Promise<(message: NewMessage) => AppendResult | undefined> {
  const { rows } = await sql<RepeatRow>`
    select m.id, m.request_key, coalesce(v.content, m.content) as content, m.conversation_id as conversation, coalesce(e.seq, 0) as seq, m.created_at
    from messages m left join events e on e.message_id = m.id and e.kind = 'message.created'
      left join message_versions v on v.message_id = m.id and v.version = 1
    where m.id = any(${skipped.map((m) => m.id)}::uuid[])
      or m.request_key = any(${skipped.map((m) => m.requestKey).filter((key) => key !== null)}::bytea[])
  `.execute(db);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const byId = new Map(rows.map((row) => [row.id, row]));
  const byKey = new Map(rows.filter((row) => row.request_key !== null).map((row) => [hex(row.request_key as Uint8Array), row]));

  return (message) => {
    const row = byId.get(message.id) ?? (message.requestKey === null ? undefined : byKey.get(hex(message.requestKey)));
    if (row === undefined) return undefined;
    const { id, seq, conversation, content } = row;
    return { status: "repeat", message: { id, seq, conversation, createdAt: row.created_at.toISOString() }, content };
  };
}
