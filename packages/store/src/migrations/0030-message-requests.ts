import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * Conversations that a stranger began with who wants to be asked first. An inbox whose user wants that is marked
 * (`screens`), and one whose user ever did (`has_requests`), so that an append need not look.
 */
export async function up(db: Db): Promise<void> {
  await sql`alter table inboxes add column if not exists screens boolean not null default false`.execute(db);
  await sql`alter table inboxes add column if not exists has_requests boolean not null default false`.execute(db);
  await sql`alter table participants add column if not exists request text check (request in ('waiting', 'declined'))`.execute(
    db,
  );
}
