import { sql } from "kysely";
import type { Db } from "./database.ts";
import { repair } from "./deliveries.ts";

/**
 * Which PostgreSQL this is: its system identifier, its timeline, and the database's number. Another one after
 * a replica was promoted, after a recovery to a point in time, and after a restore into a new database: so it
 * may be older than what processes and the broker know.
 */
export const IDENTITY = `
  (select system_identifier::text from pg_control_system())
    || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
    || '/' || (select oid::text from pg_database where datname = current_database())`;

/** A number for PostgreSQL's advisory locks: one process at a time looks after a fail-over. */
const LOCK = 7_365_031;

/** Ids that may have been given out and forgotten: what is made from now on gets none of them. */
const IDS_LOST = 2 ** 30;
const TABLES_WITH_IDS = ["users", "inboxes", "endpoints", "sessions", "conversations", "outbox"];

/**
 * Begins another incarnation of the log, for a database that came back without its last transactions: what
 * processes and the broker know of it counts no more. Sets cursors that are beyond their inbox's end back to
 * it, makes every endpoint that is behind due, and passes over the ids that may have been given out before.
 * Returns how many endpoints are due. In one transaction, which nobody else must write before the end of: it
 * is called before anybody uses the database, or by an operator, who stops all processes first.
 */
export async function recoverFromFailOver(db: Db): Promise<number> {
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(${LOCK})`.execute(tx);
    return beginIncarnation(tx);
  });
}

async function beginIncarnation(tx: Db): Promise<number> {
  await sql`
    insert into meta (key, value) values ('incarnation', '1')
    on conflict (key) do update set value = (meta.value::bigint + 1)::text
  `.execute(tx);
  for (const table of TABLES_WITH_IDS) {
    await sql`
      select setval(pg_get_serial_sequence(${table}, 'id'), nextval(pg_get_serial_sequence(${table}, 'id')) + ${IDS_LOST}::bigint)
    `.execute(tx);
  }
  await sql`
    with beyond as materialized (
      select e.id, b.head from endpoints e join inboxes b on b.id = e.inbox_id where e.cursor > b.head order by e.id for no key update of e
    )
    update endpoints set cursor = beyond.head from beyond where endpoints.id = beyond.id
  `.execute(tx);
  return repair(tx);
}

/**
 * Looks whether this is still the PostgreSQL that the deployment ran on before, and if not, recovers from the
 * fail-over. Many processes may call it at the same time: one of them does it, and the others wait. Returns
 * how many endpoints are due, or undefined where nothing had to be done.
 */
export async function recoverIfFailedOver(db: Db): Promise<number | undefined> {
  return db.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(${LOCK})`.execute(tx);
    // Read after the lock: by then, another process may have done it.
    const { rows } = await sql<{ now: string; known: string | null }>`
      select ${sql.raw(IDENTITY)} as now, (select value from meta where key = 'identity') as known
    `.execute(tx);
    const { now, known } = rows[0] as { now: string; known: string | null };
    if (known === null || now === known) return undefined;
    await sql`update meta set value = ${now} where key = 'identity'`.execute(tx);
    return beginIncarnation(tx);
  });
}

/**
 * Whether an error says that this user of the database may not ask which PostgreSQL it is, or that it cannot
 * tell.
 */
export function cannotTell(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === INSUFFICIENT_PRIVILEGE || code === UNDEFINED_FUNCTION;
}

const INSUFFICIENT_PRIVILEGE = "42501";
const UNDEFINED_FUNCTION = "42883";

/** Remembers which PostgreSQL this is, where that is not known yet, and can be known. */
export async function rememberIdentity(db: Db): Promise<void> {
  await sql`insert into meta (key, value) values ('identity', ${sql.raw(IDENTITY)}) on conflict (key) do nothing`
    .execute(db)
    .catch((error: unknown) => {
      if (!cannotTell(error)) throw error;
    });
}
