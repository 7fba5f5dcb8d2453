import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * What each member may do, since when it is one (null: from the beginning), and how it likes to see the
 * conversation. Without a check of `role`: adding one reads all of the table while nobody can write.
 */
export async function up(db: Db): Promise<void> {
  await sql`
    alter table participants
      add column if not exists role text,
      add column if not exists joined_at timestamptz,
      add column if not exists muted boolean not null default false,
      add column if not exists archived boolean not null default false,
      add column if not exists pinned boolean not null default false
  `.execute(db);
}
