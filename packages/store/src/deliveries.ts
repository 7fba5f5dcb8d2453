import type { EventKind, InboxEvent } from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";
import { incarnation } from "./incarnation.ts";

/** An active endpoint as a sender needs it. */
export interface EndpointRow {
  id: number;
  inbox: number;
  /** Whose inbox it is; null where the account is being deleted. */
  userId: number | null;
  address: string;
  kinds: readonly string[];
  /**
   * Sealed; one byte for each character (`latin1`). A `Buffer` would keep the whole slab in memory that it is
   * part of, for each of a hundred thousand endpoints.
   */
  secret: string;
  /** Likewise; null when there is none, or it is no longer valid. */
  previousSecret: string | null;
  /** An ed25519 key that signs pushes, too; sealed, likewise. */
  signingKey: string | null;
  /** JSON of its own headers; sealed, likewise. */
  headers: string | null;
  /** Pushes do not say what was written. */
  isThin: boolean;
  /** How long an attempt may take. */
  timeoutS: number;
  /** Pushes that begin in a second, at most; null for any number. */
  maxPerSecond: number | null;
  /** Pushes of it that may be in flight at the same time. */
  maxInFlight: number;
  /** The highest seq that it has taken. */
  cursor: number;
  /** Failed attempts in a row. */
  failures: number;
  /** Of the next event: attempts that were answered by 500 or 501. */
  serverErrors: number;
  /** Of the next event: attempts that were rejected. */
  rejections: number;
  /** When an event was last made a dead letter because it was rejected; milliseconds since the epoch. */
  rejectedAt: number | null;
  /** Milliseconds since the epoch; null unless `failures` > 0. */
  failingSince: number | null;
  /** Whether it has a due time: a retry that is planned, or somebody's lease. */
  due: boolean;
  /** Dead letters of it are to be pushed again, before what comes next. */
  replaying: boolean;
  /** With the log's incarnation in it. */
  generation: number;
}

/** An inbox with its active endpoints, as one statement saw them. */
export interface MailboxRow {
  inbox: number;
  head: number;
  /** With the log's incarnation in it. */
  version: number;
  endpoints: readonly EndpointRow[];
}

/**
 * A lease lasts this much longer than the endpoint's time limit, from when it was taken or renewed, by the
 * database's clock.
 */
const LEASE_BEYOND_LIMIT_S = 20;
/** The time limit of an attempt, where the owner sets no other. */
export const TIMEOUT_S_DEFAULT = 15;
/** How long a lease lasts, by the endpoint's time limit. */
export const leaseMs = (timeoutS: number): number => (timeoutS + LEASE_BEYOND_LIMIT_S) * 1000;
/** The lease of an endpoint with the usual one. */
export const LEASE_MS = leaseMs(TIMEOUT_S_DEFAULT);
/** How long that is, in the columns of an endpoint `e`. */
const LEASE_OF_E = sql`(e.timeout_s + ${LEASE_BEYOND_LIMIT_S}) * interval '1 second'`;
/** How long the relay's lasts. */
const RELAY_LEASE_MS = 30_000;

/** The name under which the relay holds endpoints whose wake is on its way. */
export const RELAY = "relay";

/**
 * Whether a sender may set an endpoint's due time: it has none, or its time has come, or it is the sender's
 * own, or held by the relay.
 */
const takeable = (by: string) => sql<boolean>`(
  e.retry_at is null or e.retry_at <= now() or e.lease_by = ${by} or e.lease_by = ${RELAY}
)`;

/** Of an endpoint `e`, as a sender needs it. */
export const ENDPOINT_COLUMNS = sql`
  e.id, e.inbox_id as inbox, (select user_id from inboxes whose where whose.id = e.inbox_id) as "userId", e.address, e.kinds, e.secret,
  case when e.previous_secret_until > now() then e.previous_secret end as "previousSecret",
  e.signing_key as "signingKey", e.headers, e.is_thin as "isThin", e.timeout_s as "timeoutS", e.max_per_second as "maxPerSecond", e.max_in_flight as "maxInFlight",
  e.cursor, e.failures, e.server_errors as "serverErrors", e.rejections,
  (extract(epoch from e.rejected_at) * 1000)::float8 as "rejectedAt",
  (extract(epoch from e.failing_since) * 1000)::float8 as "failingSince", e.retry_at is not null as due, e.replaying,
  e.generation + ${incarnation} as generation
`;

const lists = new Map<string, readonly string[]>();
const MAX_LISTS = 1_000;

/** The same list for all endpoints that take the same kinds: a sender keeps a hundred thousand of them. */
function shared(kinds: readonly string[]): readonly string[] {
  const key = kinds.join();
  const found = lists.get(key);
  if (found !== undefined) return found;
  if (lists.size < MAX_LISTS) lists.set(key, kinds);
  return kinds;
}

type SealedColumn = "secret" | "previousSecret" | "signingKey" | "headers";

/** What the statements select of an endpoint. */
export type SelectedEndpoint = Omit<EndpointRow, SealedColumn> & { [column in SealedColumn]: Uint8Array | null } & {
  secret: Uint8Array;
};

const asText = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString("latin1");

/** As it is kept in memory. */
export function endpointOf({ secret, previousSecret, signingKey, headers, ...endpoint }: SelectedEndpoint): EndpointRow {
  return {
    ...endpoint,
    kinds: shared(endpoint.kinds),
    secret: asText(secret),
    previousSecret: previousSecret && asText(previousSecret),
    signingKey: signingKey && asText(signingKey),
    headers: headers && asText(headers),
  };
}

/**
 * Reads inboxes with their active endpoints, many in one statement. One that does not exist is missing from
 * the answer. Locks nothing.
 */
export async function loadMailboxes(db: Db, inboxes: readonly number[]): Promise<readonly MailboxRow[]> {
  const { rows } = await sql<{ box: number; head: number; version: number } & (SelectedEndpoint | { id: null })>`
    select b.id as box, b.head, b.version + ${incarnation} as version, ${ENDPOINT_COLUMNS}
    from inboxes b left join endpoints e on e.inbox_id = b.id and e.state = 'active'
    where b.id = any(${inboxes}::bigint[])
    order by b.id, e.id
  `.execute(db);
  const found = new Map<number, MailboxRow & { endpoints: EndpointRow[] }>();
  for (const row of rows) {
    const { box, head, version, ...endpoint } = row;
    const mailbox = found.get(box) ?? { inbox: box, head, version, endpoints: [] };
    found.set(box, mailbox);
    if (endpoint.id !== null) mailbox.endpoints.push(endpointOf(endpoint));
  }
  return [...found.values()];
}

/**
 * Events of an inbox that are read at once. The planner must see it: for a limit that it does not know it
 * would take a tenth of a long log, and scan all messages for that.
 */
const MAX_READ = 100;
/** Kinds whose events have the content of a message. */
const KINDS_WITH_CONTENT = ["message.created", "message.sent", "message.requested", "message.edited"];

/**
 * Reads an inbox's log, with the contents of the versions that the events are about: up to `limit` events
 * (100 at most) after `after`, in order, of `maxBytes` of content in all, or one; several inboxes in one
 * statement. An event without a message has no content. Their version is only that of the log's incarnation.
 * Locks nothing.
 */
export async function readEvents(
  db: Db,
  wanted: readonly { inbox: number; after: number; limit: number }[],
  maxBytes: number,
): Promise<readonly (readonly InboxEvent[])[]> {
  const { rows } = await sql<{
    n: number;
    inbox: number;
    seq: number;
    id: string;
    kind: EventKind;
    messageId: string | null;
    conversation: number | null;
    createdAt: Date;
    content: Uint8Array | null;
    data: Uint8Array | null;
    messageVersion: number | null;
    version: number;
  }>`
    select w.n, w.inbox, e.seq, e.id, e.kind, e.message_id as "messageId", e.conversation, e.created_at as "createdAt", e.content, e.data,
      e.message_version as "messageVersion",
      ${incarnation} as version
    from unnest(
      ${wanted.map((w) => w.inbox)}::bigint[], ${wanted.map((w) => w.after)}::bigint[], ${wanted.map((w) => w.limit)}::integer[]
    ) with ordinality as w (inbox, after, most, n)
    cross join lateral (
      select * from (
        select l.*, coalesce(m.conversation_id, l.conversation_id) as conversation, version.content,
          sum(coalesce(octet_length(version.content), 0) + coalesce(octet_length(l.data), 0)) over (order by l.seq)
            - coalesce(octet_length(version.content), 0) - coalesce(octet_length(l.data), 0) as bytes_before
        from (
          select * from (select * from events where inbox_id = w.inbox and seq > w.after order by seq limit w.most) few limit ${sql.lit(MAX_READ)}
        ) l
        left join messages m on m.id = l.message_id
        left join lateral (
          select m.content where l.kind in (${sql.join(KINDS_WITH_CONTENT)}) and m.version = coalesce(l.message_version, 1)
          union all
          select v.content from message_versions v
          where l.kind in (${sql.join(KINDS_WITH_CONTENT)}) and m.version > coalesce(l.message_version, 1)
            and v.message_id = m.id and v.version = coalesce(l.message_version, 1)
        ) version on true
      ) measured
      where bytes_before < ${maxBytes}
    ) e
    order by w.n, e.seq
  `.execute(db);
  const logs: InboxEvent[][] = wanted.map(() => []);
  for (const { n, createdAt, content, ...row } of rows) {
    logs[n - 1]?.push({
      ...row,
      createdAt: createdAt.toISOString(),
      content: content ?? new Uint8Array(),
      sealed: true,
    });
  }
  return logs;
}

/** A dead letter that is to be pushed again; without its event where that was erased. */
export interface AskedLetter {
  seq: number;
  event: InboxEvent | undefined;
}

/**
 * Reads the dead letters of an endpoint that are to be pushed again: the first of them, in the order of the log.
 * Locks nothing.
 */
export async function readAsked(db: Db, endpoint: number, maxBytes: number): Promise<readonly AskedLetter[]> {
  const { rows } = await sql<{ inbox: number; seq: number }>`
    select e.inbox_id as inbox, d.seq from dead_letters d join endpoints e on e.id = d.endpoint_id
    where d.endpoint_id = ${endpoint} and d.asked and d.seq <= e.cursor order by d.seq limit ${ASKED_AT_ONCE}
  `.execute(db);
  if (rows.length === 0) return [];
  const wanted = rows.map(({ inbox, seq }) => ({ inbox, after: seq - 1, limit: 1 }));
  const logs = await readEvents(db, wanted, maxBytes);
  return rows.map(({ seq }, n) => ({ seq, event: logs[n]?.find((event) => event.seq === seq) }));
}

/** Each may be as large as an event can be. */
const ASKED_AT_ONCE = 1;

/** What became of a request for a lease. */
export type LeaseAnswer = { taken: boolean; endpoint: EndpointRow };

/**
 * Takes the lease of each endpoint that can be taken, and reads all of them as they are now. Answers in the
 * order asked; null for an endpoint that is off or gone. In every other case the endpoint has a due time when
 * this returns. Locks the endpoints, by id.
 */
export async function takeLeases(db: Db, by: string, endpoints: readonly number[]): Promise<readonly (LeaseAnswer | null)[]> {
  const { rows } = await sql<SelectedEndpoint & { taken: boolean }>`
    with e as materialized (
      select *, ${takeable(by)} as taken from endpoints e
      where e.id = any(${endpoints}::bigint[]) and e.state = 'active'
      order by e.id for no key update
    ),
    written as (
      update endpoints set retry_at = now() + ${LEASE_OF_E}, lease_by = ${by}
      from e where endpoints.id = e.id and e.taken
    )
    select e.taken, ${ENDPOINT_COLUMNS} from e
  `.execute(db);
  const found = new Map(rows.map(({ taken, ...endpoint }) => [endpoint.id, { taken, endpoint: endpointOf(endpoint) }]));
  return endpoints.map((id) => found.get(id) ?? null);
}

/**
 * Makes sure that nobody else begins a push to these endpoints while one of `by` is in flight: takes or
 * renews the lease, where it can be taken, whatever the endpoint's generation and state. Answers in the order
 * asked whether it is held; where it is not, an active endpoint has a due time all the same. Locks the
 * endpoints, by id.
 */
export async function holdLeases(db: Db, by: string, endpoints: readonly number[]): Promise<readonly boolean[]> {
  const { rows } = await sql<{ id: number }>`
    with e as materialized (
      select e.id, e.timeout_s, ${takeable(by)} as takeable from endpoints e where e.id = any(${endpoints}::bigint[])
      order by e.id for no key update
    )
    update endpoints set retry_at = now() + ${LEASE_OF_E}, lease_by = ${by}
    from e where endpoints.id = e.id and e.takeable
    returning endpoints.id
  `.execute(db);
  const held = new Set(rows.map((row) => row.id));
  return endpoints.map((id) => held.has(id));
}

/**
 * Ends leases that `by` has, whatever the endpoints' generations: those that are active are due at once.
 * Locks the endpoints, by id.
 */
export async function endLeases(db: Db, by: string, endpoints: readonly number[]): Promise<void> {
  await sql`
    with e as materialized (
      select id from endpoints where id = any(${endpoints}::bigint[]) and lease_by = ${by} order by id for no key update
    )
    update endpoints set retry_at = case when state = 'active' then now() end, lease_by = null
    from e where endpoints.id = e.id
  `.execute(db);
}

/** How long a sender without room for an inbox leaves it alone. */
const DEFER_MS = 1_000;

/**
 * Makes every active endpoint of these inboxes that is behind due in a second, where it has no due time, or
 * that of a wake that the relay published: that wake may be what there is no room for. Locks the endpoints,
 * by id.
 */
export async function deferInboxes(db: Db, inboxes: readonly number[]): Promise<void> {
  await sql`
    with e as materialized (
      select e.id from endpoints e join inboxes b on b.id = e.inbox_id
      where b.id = any(${inboxes}::bigint[]) and e.state = 'active' and (e.retry_at is null or e.lease_by = ${RELAY}) and (e.cursor < b.head or e.replaying)
      order by e.id for no key update of e
    )
    update endpoints set retry_at = now() + ${DEFER_MS} * interval '1 millisecond', lease_by = null
    from e where endpoints.id = e.id
  `.execute(db);
}

/**
 * What became of a lease that was to be given back: `cleared`, as the endpoint is level with its inbox;
 * `kept`, as there is more to read; `lost`, as it is no longer the sender's, or was given back before, by a
 * statement whose answer was lost.
 */
export type ClearAnswer = "cleared" | "kept" | "lost";

/**
 * Gives back the leases of endpoints that are level with their inbox, and have no dead letters to be pushed
 * again: clears their due times. Answers in the order asked.
 *
 * Locks the inboxes, by id, `for share`: this waits for appends that are under way, and `head` is what the
 * lock returned, not what the snapshot saw; an event that was appended, published and acknowledged in between
 * would otherwise be covered by nothing. Then the endpoints, by id.
 */
export async function clearLevel(db: Db, by: string, endpoints: readonly number[]): Promise<readonly ClearAnswer[]> {
  const { rows } = await sql<{ id: number; level: boolean }>`
    with box as materialized (
      select id, head from inboxes
      where id in (select inbox_id from endpoints where id = any(${endpoints}::bigint[]))
      order by id for share
    ),
    own as materialized (
      select e.id, e.cursor >= box.head and not e.replaying as level from endpoints e join box on box.id = e.inbox_id
      where e.id = any(${endpoints}::bigint[]) and e.lease_by = ${by}
      order by e.id for no key update of e
    ),
    cleared as (
      update endpoints set retry_at = null, lease_by = null
      from own where endpoints.id = own.id and own.level
    )
    select id, level from own
  `.execute(db);
  const own = new Map(rows.map((row) => [row.id, row.level]));
  return endpoints.map((id) => {
    const level = own.get(id);
    if (level === undefined) return "lost";
    return level ? "cleared" : "kept";
  });
}

/** One attempt to push an event. */
export interface Attempt {
  seq: number;
  /** 1 for the first attempt at this event, and so on. */
  attempt: number;
  /** Milliseconds since the epoch. */
  at: number;
  outcome: string;
  /** HTTP or SMTP status, where there was one. */
  status: number | null;
  /** How long it took. */
  ms: number;
  error: string | null;
  /** The beginning of a failed answer, sealed. */
  answer: Uint8Array | null;
}

/** What a lane has to say of its endpoint: where it stands now, and what happened since it last said so. */
export interface Progress {
  endpoint: number;
  generation: number;
  cursor: number;
  failures: number;
  serverErrors: number;
  rejections: number;
  /** Milliseconds since the epoch. */
  rejectedAt: number | null;
  /** Plan a retry this many milliseconds ahead, and end the lease. */
  retryInMs: number | null;
  /** Switch it off, for this reason. */
  off: string | null;
  /** Renew the lease. */
  renew: boolean;
  /** Make sure that the endpoint has a due time. */
  ensureDue: boolean;
  attempts: readonly Attempt[];
  deadLetters: readonly { seq: number; reason: string }[];
  /** Dead letters that were pushed again, and are none any more. */
  replayed: readonly number[];
  /** There are no more dead letters to be pushed again. */
  replayDone: boolean;
}

/** How the endpoint stands once its progress is written. */
export interface ProgressAnswer {
  cursor: number;
  /** It has a due time: a retry that is planned, or a lease, whoever holds it. */
  due: boolean;
  /** The lease is the writer's. */
  leased: boolean;
  active: boolean;
}

/**
 * Writes what lanes report, many endpoints in one statement. Answers in the order given; null where the
 * endpoint is gone, or is of another generation: then nothing was written of it but its attempts.
 *
 * Progress is always written, by `greatest`; how it has been failing only where the report knows of the
 * cursor, as it is about the event that comes next: from somebody who is behind it would count against
 * another event, which might become a dead letter at its first try. A due time is set only where it may be
 * taken, so that nobody's lease is cut short. Cursor and dead letters are written together or not at all. Can
 * be repeated when its outcome is unknown. Locks the endpoints, by id.
 */
export async function recordProgress(
  db: Db,
  by: string,
  progress: readonly Progress[],
): Promise<readonly (ProgressAnswer | null)[]> {
  const attempts = progress.flatMap((p) => p.attempts.map((attempt) => ({ endpoint: p.endpoint, ...attempt })));
  const deadLetters = progress.flatMap((p, n) => p.deadLetters.map((letter) => ({ n: n + 1, ...letter })));
  const replayed = progress.flatMap((p, n) => p.replayed.map((seq) => ({ n: n + 1, seq })));
  const { rows } = await sql<ProgressAnswer & { n: number }>`
    with report as materialized (
      select * from unnest(
        ${progress.map((p) => p.endpoint)}::bigint[],
        ${progress.map((p) => p.generation)}::bigint[],
        ${progress.map((p) => p.cursor)}::bigint[],
        ${progress.map((p) => p.failures)}::integer[],
        ${progress.map((p) => p.serverErrors)}::integer[],
        ${progress.map((p) => p.rejections)}::integer[],
        ${progress.map((p) => p.rejectedAt)}::float8[],
        ${progress.map((p) => p.retryInMs)}::bigint[],
        ${progress.map((p) => p.off)}::text[],
        ${progress.map((p) => p.renew)}::boolean[],
        ${progress.map((p) => p.ensureDue)}::boolean[],
        ${progress.map((p) => p.replayDone)}::boolean[]
      ) with ordinality
        as t (id, generation, cursor, failures, server_errors, rejections, rejected_at, retry_in_ms, off, renew, ensure_due, replay_done, n)
    ),
    held as materialized (
      select e.id, report.n from endpoints e join report on report.id = e.id and report.generation = e.generation + ${incarnation}
      order by e.id for no key update of e
    ),
    written as (
      update endpoints e set
        cursor = greatest(e.cursor, report.cursor),
        failures = case when report.cursor >= e.cursor then report.failures else e.failures end,
        server_errors = case when report.cursor >= e.cursor then report.server_errors else e.server_errors end,
        rejections = case when report.cursor >= e.cursor then report.rejections else e.rejections end,
        rejected_at = case when report.cursor >= e.cursor then to_timestamp(report.rejected_at / 1000) else e.rejected_at end,
        failing_since = case
          when report.cursor < e.cursor then e.failing_since
          when report.failures > 0 then coalesce(e.failing_since, now())
        end,
        state = case when report.off is null then e.state else 'off' end,
        reason = coalesce(report.off, e.reason),
        is_told = e.is_told and (report.off is null or e.state = 'off'),
        replaying = e.replaying and not report.replay_done,
        retry_at = case
          when report.off is not null or e.state = 'off' then null
          when report.retry_in_ms is not null and ${takeable(by)} then now() + report.retry_in_ms * interval '1 millisecond'
          when report.renew and e.lease_by = ${by} then now() + ${LEASE_OF_E}
          when report.ensure_due then coalesce(e.retry_at, now())
          else e.retry_at
        end,
        lease_by = case
          when report.off is not null or e.state = 'off' then null
          when report.retry_in_ms is not null and ${takeable(by)} then null
          else e.lease_by
        end
      from held join report using (n)
      where e.id = held.id
      returning report.n, e.id, e.cursor, e.retry_at is not null as due, e.lease_by is not distinct from ${by} as leased,
        e.state = 'active' as active
    ),
    dead as (
      insert into dead_letters (endpoint_id, seq, reason)
      select written.id, letter.seq, letter.reason
      from unnest(
        ${deadLetters.map((letter) => letter.n)}::bigint[],
        ${deadLetters.map((letter) => letter.seq)}::bigint[],
        ${deadLetters.map((letter) => letter.reason)}::text[]
      ) as letter (n, seq, reason) join written using (n)
      on conflict (endpoint_id, seq) do update set reason = excluded.reason, at = now(), asked = false, is_told = dead_letters.is_told and not dead_letters.asked
    ),
    alive as (
      delete from dead_letters d using written, unnest(
        ${replayed.map((letter) => letter.n)}::bigint[], ${replayed.map((letter) => letter.seq)}::bigint[]
      ) as letter (n, seq)
      where written.n = letter.n and d.endpoint_id = written.id and d.seq = letter.seq
    ),
    tried as (
      insert into attempts (endpoint_id, seq, attempt, at, outcome, status, ms, error, answer)
      select endpoint, seq, attempt, to_timestamp(at / 1000), outcome, status, ms, error, answer from unnest(
        ${attempts.map((a) => a.endpoint)}::bigint[],
        ${attempts.map((a) => a.seq)}::bigint[],
        ${attempts.map((a) => a.attempt)}::integer[],
        ${attempts.map((a) => a.at)}::float8[],
        ${attempts.map((a) => a.outcome)}::text[],
        ${attempts.map((a) => a.status)}::smallint[],
        ${attempts.map((a) => Math.round(a.ms))}::integer[],
        ${attempts.map((a) => a.error)}::text[],
        ${attempts.map((a) => a.answer)}::bytea[]
      ) as t (endpoint, seq, attempt, at, outcome, status, ms, error, answer)
      on conflict do nothing
    )
    select n, cursor, due, leased, active from written
  `.execute(db);
  const found = new Map(rows.map(({ n, ...answer }) => [n, answer]));
  return progress.map((_, n) => found.get(n + 1) ?? null);
}

/**
 * Takes up to `limit` endpoints whose due time has come, earliest first, for the relay: they are due again in
 * 30 s, should their wake be lost. Returns their inboxes. Locks the endpoints it takes; those that are locked
 * are passed over.
 */
export async function takeDue(db: Db, limit: number): Promise<readonly number[]> {
  const { rows } = await sql<{ inbox_id: number }>`
    with taken as materialized (
      select id from endpoints where retry_at <= now() and state = 'active' order by retry_at limit ${limit} for update skip locked
    )
    update endpoints set retry_at = now() + ${RELAY_LEASE_MS} * interval '1 millisecond', lease_by = ${RELAY}
    from taken where endpoints.id = taken.id
    returning inbox_id
  `.execute(db);
  return rows.map((row) => row.inbox_id);
}

/** Inboxes that one statement of `repair` looks at. */
const REPAIRED_AT_ONCE = 10_000;

/**
 * Makes every active endpoint that is behind its inbox, and has no due time, due at once: so the queue can be
 * rebuilt after the broker lost it. Of some partitions, or of all. Returns how many. Goes through the inboxes
 * bit by bit: no statement takes long, and none holds many locks. What is appended meanwhile is covered by
 * its outbox row.
 */
export async function repair(db: Db, only?: { partitions: readonly number[]; of: number }): Promise<number> {
  const isConcerned = only === undefined ? sql`` : sql`and b.id % ${only.of} = any(${only.partitions}::bigint[])`;
  let repaired = 0;
  for (let after = 0; ;) {
    // From one inbox that there is to another: their ids may have gaps of any size. Of the slice only the last id is taken, so that the tables are joined by
    // their indexes: a planner without statistics compared each endpoint with each inbox of a list.
    const { rows } = await sql<{ last: number | null; repaired: number }>`
      with slice as materialized (
        select max(id) as last from (select id from inboxes where id > ${after} order by id limit ${REPAIRED_AT_ONCE}) as ids
      ),
      behind as materialized (
        select e.id from slice, endpoints e join inboxes b on b.id = e.inbox_id
        where e.inbox_id > ${after} and e.inbox_id <= slice.last
          and e.state = 'active' and e.retry_at is null and (e.cursor < b.head or e.replaying) ${isConcerned}
        order by e.id for no key update of e
      ),
      made as (
        update endpoints set retry_at = now(), lease_by = null
        from behind where endpoints.id = behind.id and endpoints.retry_at is null
        returning endpoints.id
      )
      select (select last from slice) as last, (select count(*) from made) as repaired
    `.execute(db);
    const { last, repaired: some } = rows[0] as { last: number | null; repaired: number };
    if (last === null) return repaired;
    repaired += some;
    after = last;
  }
}

/**
 * Makes every endpoint that somebody holds a lease on due at once. Only for a process that is known to be
 * alone on its database.
 */
export async function breakLeases(db: Db): Promise<void> {
  await sql`update endpoints set retry_at = now(), lease_by = null where lease_by is not null`.execute(db);
}
