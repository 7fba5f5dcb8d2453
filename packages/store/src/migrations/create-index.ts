import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * Makes an index without holding up writes, for a migration that is not in a transaction. One that broke off
 * before, and left an invalid index, is made anew. `on` is the table, its columns, and which rows.
 */
export async function createIndex(db: Db, name: string, on: string, unique?: "unique"): Promise<void> {
  const { rows } = await sql<{ valid: boolean }>`
    select indisvalid as valid from pg_index where indexrelid = to_regclass(${name})
  `.execute(db);
  if (rows[0]?.valid === true) return;
  // It waits for transactions that are older, not for a lock that others wait for, too: for as long as they take.
  const before = await sql<{ timeout: string }>`select current_setting('lock_timeout') as timeout`.execute(db);
  await sql`set lock_timeout = 0`.execute(db);
  if (rows[0] !== undefined) await sql`drop index concurrently ${sql.raw(name)}`.execute(db);
  await sql`create ${sql.raw(unique ?? "")} index concurrently ${sql.raw(name)} on ${sql.raw(on)}`.execute(db);
  await sql`select set_config('lock_timeout', ${before.rows[0]?.timeout ?? "0"}, false)`.execute(db);
}
