import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Messages that somebody reported, and when whoever has a session gave their password again. */
export async function up(db: Db): Promise<void> {
  await sql`
    create table if not exists reports (
      id bigint generated always as identity primary key,
      message_id uuid not null references messages on delete cascade,
      sender_id bigint not null,
      reporter_id bigint not null references users on delete cascade,
      reason text not null,
      comment bytea,
      content bytea,
      created_at timestamptz not null default now(),
      resolution text,
      resolved_at timestamptz,
      unique (message_id, reporter_id)
    )
  `.execute(db);
  await sql`create index if not exists reports_open on reports (id) where resolved_at is null`.execute(db);
  await sql`create index if not exists reports_sender on reports (sender_id)`.execute(db);
  await sql`create index if not exists reports_reporter on reports (reporter_id)`.execute(db);
  await sql`alter table sessions add column if not exists confirmed_at timestamptz`.execute(db);
}
