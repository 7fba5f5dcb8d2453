import { sql } from "kysely";
import type { Db } from "./database.ts";

/** Drops outbox rows, once all events that they cover are confirmed by the broker. */
export async function deleteOutbox(db: Db, ids: readonly number[]): Promise<void> {
  await sql`delete from outbox where id = any(${ids}::bigint[])`.execute(db);
}

/**
 * Takes up to `limit` outbox rows that are due, oldest first, and makes them due again in 5 s: so no
 * transaction is held while their wakes are published, and who dies before that has lost nothing. Locks the
 * rows it takes; rows that another relay holds are passed over.
 */
export async function takeOutbox(db: Db, limit: number): Promise<readonly { id: number; inboxIds: readonly number[] }[]> {
  const { rows } = await sql<{ id: number; inbox_ids: number[] }>`
    with taken as materialized (
      select id from outbox where due_at <= now() order by due_at limit ${limit} for update skip locked
    )
    update outbox set due_at = now() + interval '5 seconds'
    from taken where outbox.id = taken.id
    returning outbox.id, inbox_ids
  `.execute(db);
  return rows.map((row) => ({ id: row.id, inboxIds: row.inbox_ids }));
}
