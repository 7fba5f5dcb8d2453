import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Accounts that are being erased, and groups that somebody was in: what they wrote there is theirs, too. */
export async function up(db: Db): Promise<void> {
  await sql`alter table users add column if not exists deleting_at timestamptz`.execute(db);
  await sql`create index if not exists users_deleting on users (deleting_at) where deleting_at is not null`.execute(db);
  await sql`
    create table if not exists left_groups (
      user_id bigint not null, conversation_id bigint not null, primary key (user_id, conversation_id)
    )
  `.execute(db);
  await sql`create index if not exists left_groups_conversation on left_groups (conversation_id)`.execute(db);
}
