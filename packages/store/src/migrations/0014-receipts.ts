import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Whether others are told how far a user has read. */
export async function up(db: Db): Promise<void> {
  await sql`alter table users add column if not exists receipts boolean not null default true`.execute(db);
}
