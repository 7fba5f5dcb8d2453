import { sql } from "kysely";
import type { Db } from "../database.ts";

/** For how many days a conversation keeps its messages, and up to when they have been erased. */
export async function up(db: Db): Promise<void> {
  await sql`alter table conversations add column if not exists keep_days integer`.execute(db);
  await sql`alter table conversations add column if not exists expired_at timestamptz`.execute(db);
  await sql`create index if not exists conversations_keeping on conversations (id) where keep_days is not null`.execute(db);
}
