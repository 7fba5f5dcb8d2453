import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * What was drawn from the limits of requests. It is in no log: a server that is killed forgets it, and what is left of a
 * window is counted from nothing.
 */
export async function up(db: Db): Promise<void> {
  await sql`
    create unlogged table if not exists rate_limits (
      key text primary key, window_number bigint not null, used integer not null, drawn_at timestamptz not null default now()
    )
  `.execute(db);
  await sql`alter table users add column if not exists plan text not null default 'standard'`.execute(db);
}
