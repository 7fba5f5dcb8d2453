import { sql } from "kysely";
import type { Db } from "./database.ts";
import { announceChange, type EndpointsChanged, IS_LEASED, lockInbox } from "./endpoints.ts";
import { scannedPage } from "./scanned-page.ts";
import type { Place } from "./conversations.ts";

export interface AttemptRow {
  seq: number;
  at: Date;
  attempt: number;
  outcome: string;
  status: number | null;
  ms: number;
  error: string | null;
  /** The beginning of a failed answer, sealed; null where there is none. */
  answer: Uint8Array | null;
  eventId: string | null;
  kind: string | null;
  messageId: string | null;
}

/** Which attempts are wanted: those that are like all of what is given. */
export interface AttemptFilter {
  since?: Date | undefined;
  until?: Date | undefined;
  outcome?: string | undefined;
  status?: number | undefined;
  kind?: string | undefined;
  messageId?: string | undefined;
}

/** Rows that a page looks at, at most: a page of which few are wanted says where to go on. */
const LOOKED_AT = 5_000;

/**
 * Attempts at pushes to an endpoint, those of the latest events first, and of an event the latest; up to
 * `limit`. `next` is where to go on; null at the end. Locks nothing.
 */
export async function listAttempts(
  db: Db,
  endpoint: { id: number; inbox: number },
  filter: AttemptFilter,
  after: Place<number> | null,
  limit: number,
): Promise<{ rows: readonly AttemptRow[]; next: Place<number> | null }> {
  const { rows } = await sql<AttemptRow & { n: number; wanted: boolean; atMs: number }>`
    select * from (
      select l.*, row_number() over (order by l.seq desc, l.at desc)::integer as n, v.id as "eventId", v.kind, v.message_id as "messageId",
        (extract(epoch from l.at) * 1000000)::bigint as "atMs",
        (${filter.since ?? null}::timestamptz is null or l.at >= ${filter.since ?? null}::timestamptz)
          and (${filter.until ?? null}::timestamptz is null or l.at < ${filter.until ?? null}::timestamptz)
          and (${filter.outcome ?? null}::text is null or l.outcome = ${filter.outcome ?? null}::text)
          and (${filter.status ?? null}::integer is null or l.status = ${filter.status ?? null}::integer)
          and (${filter.kind ?? null}::text is null or v.kind = ${filter.kind ?? null}::text)
          and (${filter.messageId ?? null}::uuid is null or v.message_id = ${filter.messageId ?? null}::uuid) as wanted
      from (
        select seq, at, attempt, outcome, status, ms, error, answer from attempts
        where endpoint_id = ${endpoint.id}
          and (${after?.id ?? null}::bigint is null
            or (seq, at) < (${after?.id ?? null}::bigint, to_timestamp(${after?.at ?? null}::float8 / 1000000)))
        order by seq desc, at desc limit ${LOOKED_AT}
      ) l left join events v on v.inbox_id = ${endpoint.inbox} and v.seq = l.seq
    ) looked
    where wanted or n = ${LOOKED_AT}
    order by n limit ${limit + 1}
  `.execute(db);
  return scannedPage(rows, { limit, lookedAt: LOOKED_AT, placeOf: ({ atMs, seq }) => ({ at: atMs, id: seq }) });
}

export interface DeadLetterRow {
  seq: number;
  reason: string;
  at: Date;
  /** It is to be pushed again. */
  asked: boolean;
  eventId: string | null;
  kind: string | null;
  messageId: string | null;
}

/** Dead letters of an endpoint, in the order of the log, after a `seq`. Locks nothing. */
export async function listDeadLetters(
  db: Db,
  endpoint: { id: number; inbox: number },
  after: number,
  limit: number,
): Promise<readonly DeadLetterRow[]> {
  const { rows } = await sql<DeadLetterRow>`
    select d.seq, d.reason, d.at, d.asked, v.id as "eventId", v.kind, v.message_id as "messageId"
    from dead_letters d left join events v on v.inbox_id = ${endpoint.inbox} and v.seq = d.seq
    where d.endpoint_id = ${endpoint.id} and d.seq > ${after}
    order by d.seq limit ${limit}
  `.execute(db);
  return rows;
}

/** So that nobody's append waits for long. */
const ASKED_AT_ONCE = 10_000;

/** Which dead letters are to be pushed again: one, or those since a moment, or all. */
export type WhichDeadLetters = { seq: number } | { since: Date } | "all";

/**
 * Has dead letters of an endpoint pushed again, before what comes next: the first of them that are not to be
 * already, up to 10,000. Returns how many; null where the
 * endpoint is none of this user. Locks the inbox, then its endpoints.
 */
export async function replayDeadLetters(
  db: Db,
  userId: number,
  id: number,
  which: WhichDeadLetters,
): Promise<{ count: number; changed: EndpointsChanged | null } | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    if (inbox === null) return null;
    const { rows: own } = await sql`select from endpoints where id = ${id} and inbox_id = ${inbox.id}`.execute(tx);
    if (own.length === 0) return null;
    const chosen = which === "all" ? sql`true` : "seq" in which ? sql`seq = ${which.seq}` : sql`at >= ${which.since}`;
    const { rows } = await sql`
      update dead_letters set asked = true where endpoint_id = ${id} and seq in (
        select seq from dead_letters where endpoint_id = ${id} and not asked and ${chosen} order by seq limit ${ASKED_AT_ONCE}
      ) returning seq
    `.execute(tx);
    if (rows.length === 0) return { count: 0, changed: null };
    await sql`
      update endpoints e set replaying = true, generation = generation + 1,
        retry_at = case when ${IS_LEASED} then e.retry_at when state = 'active' then now() end,
        lease_by = case when ${IS_LEASED} then e.lease_by end
      where id = ${id}
    `.execute(tx);
    return { count: rows.length, changed: await announceChange(tx, inbox.id) };
  });
}
