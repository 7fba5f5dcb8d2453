import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * What is new of endpoints and sessions: columns without a default, so that no row is written.
 * `rejected_before` stays, for senders of the version before.
 */
export async function up(db: Db): Promise<void> {
  await sql`alter table endpoints add column if not exists rejected_at timestamptz`.execute(db);
  await sql`alter table sessions add column if not exists refreshed_at timestamptz`.execute(db);
}
