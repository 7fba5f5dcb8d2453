import type { EventKind, PlainEvent } from "@messenger/core";
import { type RawBuilder, sql } from "kysely";
import type { Db } from "./database.ts";
import { incarnation } from "./incarnation.ts";
import { IS_LIVE } from "./sessions.ts";

/**
 * Whom a message is for: a user, whose conversation with the sender is found or made; or all others who take
 * part in a group.
 */
export type Recipients = { user: number } | { group: number };

/** A message to append. Its content is sealed under its id. */
export interface NewMessage {
  /** A uuid v7: what makes it safe to append the same message twice. */
  id: string;
  /** The id of the sender's `message.sent` event, should there be one. */
  sentEventId: string;
  senderId: number;
  to: Recipients;
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
  /** In the receiver's inbox; 0 for one to a group, and for a repeat whose receiver was deleted since. */
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
  /** There is no such receiver, or the sender takes no part in the group: nothing was written. */
  | { status: "no-receiver" }
  /** Who takes part in the group changed meanwhile: nothing was written, and it can be appended again. */
  | { status: "stale" };

export interface AppendedBatch {
  /** One for each message, in the order given. */
  results: readonly AppendResult[];
  /** What was appended now, without contents; in the order of `seq` for each inbox. */
  events: readonly Omit<PlainEvent, "content" | "sealed">[];
  /** The outbox row that covers these events; null when there are none. */
  outboxId: number | null;
}

/** A row for each event, or one for a message that made none: a group's only member has nobody to write to. */
interface EventRow {
  message_id: string;
  conversation: number;
  /** Milliseconds since the epoch: a date costs more to read than all of the row. */
  at: number;
  event_id: string | null;
  kind: EventKind;
  inbox: number;
  seq: number;
  version: number;
  outbox: number | null;
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
 * Appends messages: one statement, one commit for all of them. Safe to call again with the same messages when
 * the outcome of a call is unknown: what the first call wrote is then found as a repeat.
 *
 * Locks, in this order: the inboxes it writes to, by id (so two of these never wait for each other in a
 * circle, and nothing is appended to an inbox that is being deleted); the groups, for share, by id; new
 * conversations, by pair; new messages, by id. Two concurrent batches that hold the same two request keys can
 * still deadlock; Postgres then fails one of them, which is tried again.
 *
 * Whoever changes who takes part in a group locks the inboxes of all its members first, and then raises
 * `members_version`. A statement that waited for them saw the members of before: it finds another version
 * once it has the group's lock, and writes nothing to that group.
 *
 * A message was created when all inboxes were locked, by the database's clock, and each of a batch a
 * microsecond after the one before. So a group's messages have the same order by time as in every inbox.
 */
export async function appendMessages(db: Db, messages: readonly NewMessage[]): Promise<AppendedBatch> {
  const contents = messages.map((message) => message.content);
  const starts: number[] = [];
  let start = 1; // as SQL counts
  for (const content of contents) {
    starts.push(start);
    start += content.length;
  }
  const hasGroups = messages.some(({ to }) => "group" in to);
  /** A part of the statement that only messages to groups need: planning and running it costs a tenth of the rest. */
  const inGroups = (part: RawBuilder<unknown>): RawBuilder<unknown> => (hasGroups ? part : sql``);
  const { rows } = await sql<EventRow>`
    with item as materialized (
      select * from unnest(
        ${messages.map((m) => m.id)}::uuid[],
        ${messages.map((m) => m.sentEventId)}::uuid[],
        ${messages.map((m) => m.senderId)}::bigint[],
        ${messages.map(({ to }) => ("user" in to ? to.user : null))}::bigint[],
        ${messages.map(({ to }) => ("group" in to ? to.group : null))}::bigint[],
        ${messages.map((m) => m.sessionId)}::bigint[],
        ${messages.map((m) => new Date(m.sentAt).toISOString())}::timestamptz[],
        ${messages.map((m) => m.requestKey)}::bytea[],
        ${starts}::integer[],
        ${contents.map((content) => content.length)}::integer[]
      ) with ordinality as t (id, sent_id, sender, receiver, conversation, session, sent_at, request_key, start, size, n)
    ),
    -- messages whose sender can use another session, too, and is told there
    echoed as materialized (
      select id, sender from item
      where exists (
        select from sessions s where s.user_id = item.sender and s.id <> item.session and s.token_hash is null and ${IS_LIVE}
      )
    ),
    ${inGroups(sql`
      -- groups that are written to by those who take part in them, as the snapshot has them
      joined_group as materialized (
        select distinct c.id, c.members_version, item.sender from item
        join conversations c on c.id = item.conversation and c.low_user_id is null
        join participants p on p.conversation_id = c.id and p.user_id = item.sender
      ),
      group_recipient as materialized (
        select item.id, p.user_id from item
        join joined_group g on g.id = item.conversation and g.sender = item.sender
        join participants p on p.conversation_id = g.id and p.user_id <> item.sender
      ),
    `)}
    -- reads head and version as they are once the lock is held, which may be later than the snapshot
    box as materialized (
      select id, user_id, head, version, has_contacts, has_blocks, has_requests, screens from inboxes
      where user_id in (
        select receiver from item union select sender from echoed
        ${inGroups(sql`union select user_id from group_recipient`)}
      )
      order by id for no key update
    ),
    -- read once all inboxes are locked
    moment as materialized (select count(*) as boxes, clock_timestamp() as at from box),
    direct as materialized (
      select item.*, box.id as inbox, has_requests, screens, least(sender, receiver) as low, greatest(sender, receiver) as high
      from item join box on box.user_id = item.receiver
      where not (box.has_blocks and exists (select from blocks where blocks.user_id = item.receiver and blocked_id = item.sender))
    ),
    pair as (select distinct low, high from direct),
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
    -- who wants to be asked before a stranger's messages arrive, and does not write here
    asked as materialized (
      select distinct low, high, receiver from direct d
      where screens and sender <> receiver
        and not exists (select from direct o where o.low = d.low and o.high = d.high and o.sender = d.receiver)
    ),
    joined as (
      insert into participants (conversation_id, user_id, request)
      select side.id, side.user_id, case when asked.receiver is not null then 'waiting' end
      from (select id, low, high, low as user_id from made union select id, low, high, high from made) as side
        left join asked on asked.low = side.low and asked.high = side.high and asked.receiver = side.user_id
      on conflict (conversation_id, user_id) do update set request = participants.request
      returning conversation_id, user_id, request
    ),
    conversation as (select * from found union all select * from made),
    ${inGroups(sql`
      held_group as materialized (
        select c.id, c.members_version from moment, conversations c
        where c.id in (select id from joined_group) and moment.boxes >= 0
        order by c.id for share of c
      ),
      to_group as materialized (
        select item.*, g.id as conversation_id
        from item join joined_group g on g.id = item.conversation and g.sender = item.sender
        join held_group h on h.id = g.id and h.members_version = g.members_version
      ),
    `)}
    inserted as (
      insert into messages (id, conversation_id, sender_id, content, request_key, sent_at, created_at)
      select id, conversation_id, sender, substring(${Buffer.concat(contents)}::bytea from start for size),
        request_key, sent_at, moment.at + n * interval '1 microsecond'
      from (
        select d.n, d.id, c.id as conversation_id, sender, start, size, request_key, sent_at
        from direct d join conversation c using (low, high)
        ${inGroups(sql`
          union all select n, id, conversation_id, sender, start, size, request_key, sent_at from to_group
        `)}
      ) as placed cross join moment
      order by id
      on conflict do nothing
      returning id, conversation_id, created_at
    ),
    event as (
      select n, d.id as message_id, case when waits then sent_id else d.id end as event_id,
        case when waits then 'message.requested' else 'message.created' end as kind, inbox, inserted.conversation_id, created_at
      from direct d join inserted using (id)
      -- whether the receiver has not accepted the sender yet: as it is once the inbox is locked
      cross join lateral (
        select d.has_requests and (
          exists (
            select from joined j where j.conversation_id = inserted.conversation_id and j.user_id = d.receiver and j.request is not null
          )
          or exists (
            select from participants p
            where p.conversation_id = inserted.conversation_id and p.user_id = d.receiver and p.request is not null for share
          )
        ) as waits
      ) as answer
      union all
      select n, d.id, sent_id, 'message.sent', box.id, conversation_id, created_at
      from direct d join inserted using (id) join echoed using (id) join box on box.user_id = d.sender
      ${inGroups(sql`
        union all
        select n, id, id, 'message.created', inbox, inserted.conversation_id, created_at
        from to_group join inserted using (id) join group_recipient using (id)
        join (select id as inbox, user_id from box) as box using (user_id)
        union all
        select n, g.id, sent_id, 'message.sent', box.id, inserted.conversation_id, created_at
        from to_group g join inserted using (id) join echoed using (id) join box on box.user_id = g.sender
      `)}
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
      insert into events (inbox_id, seq, id, kind, message_id, created_at)
      select inbox, seq, event_id, kind, message_id, created_at from numbered
    ),
    -- what users are told of elsewhere, unless they read it before; the inbox's lock keeps two of these apart
    noticed as (
      insert into notices as n (contact_id, conversation_id, waiting, message_id, due_at)
      select k.id, told.conversation_id, told.count, told.last_id, now() + k.delay_s * interval '1 second'
      from (
        select box.user_id, conversation_id, count(*) as count,
          (array_agg(event.message_id order by event.n desc))[1] as last_id
        from event join box on box.id = event.inbox and box.has_contacts join item on item.id = event.message_id
        where event.kind = 'message.created' and item.sender <> box.user_id
        group by box.user_id, conversation_id
      ) as told join contacts k on k.user_id = told.user_id and k.verified_at is not null
      order by k.id, told.conversation_id
      on conflict (contact_id, conversation_id) do update set waiting = n.waiting + excluded.waiting,
        message_id = excluded.message_id,
        due_at = coalesce(n.due_at, excluded.due_at)
    ),
    covered as (
      insert into outbox (inbox_ids)
      select array_agg(distinct inbox) from numbered having count(*) > 0
      returning id
    )
    select message_id, conversation_id as conversation, (extract(epoch from created_at) * 1000)::float8 as at,
      event_id, kind, inbox, seq, version, covered.id as outbox
    from numbered cross join covered
    ${inGroups(sql`
      union all
      select id, conversation_id, (extract(epoch from created_at) * 1000)::float8, null, null, null, null, null, null
      from inserted where not exists (select from numbered where message_id = inserted.id)
    `)}
    order by inbox, seq
  `.execute(db);

  let at = Number.NaN;
  let createdAt = "";
  const appended = new Map<string, AppendedMessage>();
  const events: Omit<PlainEvent, "content" | "sealed">[] = [];
  const toUser = new Set(messages.filter(({ to }) => "user" in to).map(({ id }) => id));
  for (const { message_id: messageId, conversation, event_id: id, kind, inbox, seq, version, at: exact } of rows) {
    if (Math.floor(exact) !== at) {
      at = Math.floor(exact);
      createdAt = new Date(at).toISOString(); // nearly all of a batch have the same
    }
    if (id !== null) events.push({ inbox, seq, version, id, kind, messageId, conversation, createdAt });
    if (appended.has(messageId) && kind === "message.sent") continue;
    appended.set(messageId, { id: messageId, seq: toUser.has(messageId) ? seq : 0, conversation, createdAt });
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
 * Looks up what the insert skipped. A second statement, because a repeat and its first insert can race, and
 * one statement then sees neither.
 */
async function findRepeats(db: Db, skipped: readonly NewMessage[]): Promise<(message: NewMessage) => AppendResult | undefined> {
  const { rows } = await sql<RepeatRow>`
    select m.id, m.request_key, coalesce(v.content, m.content) as content, m.conversation_id as conversation, coalesce(e.seq, 0) as seq, m.created_at
    from messages m join conversations c on c.id = m.conversation_id
      left join lateral (
        select seq from events where message_id = m.id and kind in ('message.created', 'message.requested') and c.low_user_id is not null
        order by seq limit 1
      ) e on true
      left join message_versions v on v.message_id = m.id and v.version = 1
    where m.id = any(${skipped.map((m) => m.id)}::uuid[])
      or m.request_key = any(${skipped.map((m) => m.requestKey).filter((key) => key !== null)}::bytea[])
  `.execute(db);
  const toGroups = skipped.flatMap(({ id, senderId, to }) => ("group" in to ? [{ id, senderId, group: to.group }] : []));
  const members = await sql<{ id: string }>`
    select item.id from unnest(
      ${toGroups.map(({ id }) => id)}::uuid[], ${toGroups.map(({ senderId }) => senderId)}::bigint[], ${toGroups.map(({ group }) => group)}::bigint[]
    ) as item (id, sender, conversation)
    join conversations c on c.id = item.conversation and c.low_user_id is null
    join participants p on p.conversation_id = c.id and p.user_id = item.sender
  `.execute(db);
  const stale = new Set(members.rows.map(({ id }) => id));
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const byId = new Map(rows.map((row) => [row.id, row]));
  const byKey = new Map(rows.filter((row) => row.request_key !== null).map((row) => [hex(row.request_key as Uint8Array), row]));

  return (message) => {
    const row = byId.get(message.id) ?? (message.requestKey === null ? undefined : byKey.get(hex(message.requestKey)));
    if (row === undefined) return stale.has(message.id) ? { status: "stale" } : undefined;
    const { id, seq, conversation, content } = row;
    return { status: "repeat", message: { id, seq, conversation, createdAt: row.created_at.toISOString() }, content };
  };
}

/** Whether there is a message under a request key. */
export async function isAppended(db: Db, requestKey: Uint8Array): Promise<boolean> {
  const { rows } = await sql`select from messages where request_key = ${requestKey}`.execute(db);
  return rows.length > 0;
}
