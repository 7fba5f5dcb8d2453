import type { PlainEvent } from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";
import type { EndpointsChanged } from "./endpoints.ts";
import { incarnation } from "./incarnation.ts";

/**
 * Events that are in the log now, without contents, and the outbox row that covers them; null where there are
 * none.
 */
export interface AppendedEvents {
  events: readonly Omit<PlainEvent, "content" | "sealed">[];
  outboxId: number | null;
}

/** What happened in a conversation: an event of the same id in each inbox. */
export interface Announcement {
  kind: string;
  /** A uuid v7. */
  eventId: string;
  conversation: number;
  message?: { id: string; version: number };
  /** Sealed under the event's id. */
  data: Uint8Array | null;
}

/**
 * Whether the participant `p` can read the message `m`: what was written before one joined a group is not
 * one's own to read.
 */
export const IS_VISIBLE = sql`m.created_at >= coalesce(p.joined_at, '-infinity')`;

/** A member joined after the members were read, and before their inboxes were locked. */
export class MembersChanged extends Error {
  override readonly name = "MembersChanged";
}

/** So often is a transaction tried again that found {@link MembersChanged}. */
const TRIES = 20;

/** The first part of the number of an advisory lock on who the members of a group are; the second is its id. */
const MEMBERS_LOCK = 7_365;

/**
 * Changes of a group's members wait for one another here: otherwise each that is made would send all that wait
 * for the members' inboxes back to their beginning. Before any other lock; appends do not take it.
 */
export async function lockMembers(tx: Db, conversation: number): Promise<void> {
  await sql`select pg_advisory_xact_lock(${MEMBERS_LOCK}, (${conversation} % 2147483647)::integer)`.execute(tx);
}

/**
 * Runs a transaction that locks the inboxes of all who take part in a conversation; from its beginning again
 * where somebody came meanwhile.
 */
export async function transactionOfMembers<Result>(db: Db, run: (tx: Db) => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await db.transaction().execute(run);
    } catch (error) {
      if (!(error instanceof MembersChanged) || tries === TRIES) throw error;
    }
  }
}

/**
 * Locks the inboxes of all who take part in a conversation, by id, so that nothing is appended to them
 * meanwhile, and nobody comes or goes: whoever changes that locks all of them, too. Returns those of who
 * takes part then, and can read the message: a statement that waited for the locks has an old look at it.
 * @throws {MembersChanged}
 */
export async function lockInboxes(tx: Db, conversation: number, messageId: string): Promise<readonly number[]> {
  const locked = await sql<{ id: number }>`
    select b.id from inboxes b join participants p on p.user_id = b.user_id
    where p.conversation_id = ${conversation} order by b.id for no key update of b
  `.execute(tx);
  const now = await sql<{ id: number; reads: boolean }>`
    select b.id, ${IS_VISIBLE} as reads
    from messages m join participants p on p.conversation_id = m.conversation_id join inboxes b on b.user_id = p.user_id
    where m.id = ${messageId} and m.conversation_id = ${conversation} order by b.id
  `.execute(tx);
  const held = new Set(locked.rows.map(({ id }) => id));
  if (!now.rows.every(({ id }) => held.has(id))) throw new MembersChanged();
  return now.rows.filter(({ reads }) => reads).map(({ id }) => id);
}

/**
 * Appends an event of no conversation to an inbox that is locked, and covers the wake for it. Returns the row that
 * does.
 */
export async function logEvent(
  tx: Db,
  inbox: number,
  { kind, eventId, data }: { kind: string; eventId: string; data: Uint8Array },
): Promise<EndpointsChanged> {
  const { rows } = await sql<{ outboxId: number }>`
    with moved as (update inboxes set head = head + 1 where id = ${inbox} returning head),
    logged as (
      insert into events (inbox_id, seq, id, kind, data, created_at)
      select ${inbox}::bigint, head, ${eventId}::uuid, ${kind}::text, ${data}::bytea, clock_timestamp() from moved
    )
    insert into outbox (inbox_ids) values (array[${inbox}::bigint]) returning id as "outboxId"
  `.execute(tx);
  return { inbox, outboxId: (rows[0] as { outboxId: number }).outboxId };
}

/** Appends an event to inboxes that are locked. */
export async function announce(tx: Db, inboxes: readonly number[], announcement: Announcement): Promise<AppendedEvents> {
  const { kind, eventId, conversation, message, data } = announcement;
  const { rows } = await sql<{ inbox: number; seq: number; version: number; at: Date; outbox: number }>`
    with moment as materialized (select clock_timestamp() as at),
    moved as (
      update inboxes set head = head + 1 where id = any(${inboxes}::bigint[])
      returning id as inbox, head as seq, version + ${incarnation} as version
    ),
    logged as (
      insert into events (inbox_id, seq, id, kind, message_id, message_version, conversation_id, data, created_at)
      select inbox, seq, ${eventId}::uuid, ${kind}::text, ${message?.id ?? null}::uuid, ${message?.version ?? null}::integer,
        ${message === undefined ? conversation : null}::bigint, ${data}::bytea, at
      from moved cross join moment
    ),
    covered as (
      insert into outbox (inbox_ids) select array_agg(inbox) from moved having count(*) > 0 returning id
    )
    select moved.*, covered.id as outbox, moment.at from moved cross join covered cross join moment order by inbox
  `.execute(tx);
  const events = rows.map(({ inbox, seq, version, at }) => ({
    inbox,
    seq,
    version,
    id: eventId,
    kind,
    messageId: message?.id ?? null,
    conversation,
    createdAt: at.toISOString(),
  }));
  return { events, outboxId: rows[0]?.outbox ?? null };
}
