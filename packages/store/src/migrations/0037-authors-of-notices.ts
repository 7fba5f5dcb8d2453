import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Whose message a notice tells of: its name is erased with the account. */
export async function up(db: Db): Promise<void> {
  await sql`alter table notifications add column if not exists about_user_id bigint`.execute(db);
  await sql`
    create index if not exists notifications_about on notifications (about_user_id) where about_user_id is not null
  `.execute(db);
}
