import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Accounts that are somebody's bots, and tokens that write to one conversation alone. */
export async function up(db: Db): Promise<void> {
  await sql`alter table users add column if not exists owner_id bigint`.execute(db);
  await sql`create index if not exists users_owner on users (owner_id) where owner_id is not null`.execute(db);
  await sql`alter table sessions add column if not exists conversation_id bigint`.execute(db);
}
