import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * Messages can be edited: what an event says of one is said of a version of it. Rows of before are of version
 * 1. One table at a time, as others read both.
 */
export async function up(db: Db): Promise<void> {
  await sql`alter table messages add column if not exists version integer not null default 1`.execute(db);
  await sql`
    create table if not exists message_versions (
      message_id uuid not null,
      version integer not null,
      content bytea not null,
      at timestamptz not null,
      primary key (message_id, version)
    )
  `.execute(db);
}
