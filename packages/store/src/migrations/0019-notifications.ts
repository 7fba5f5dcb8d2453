import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * Notifications to outside addresses. Each is an event in the inbox of its address, once it is sent there: until
 * then (`send_at`) it has no `seq`. `data` is what the event says, and `recipient` whom it is for, both sealed
 * under its id. `reported` is what the provider has told since.
 * `channels` are what senders can deliver by.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`
      create table if not exists notifications (
        id uuid primary key,
        user_id bigint not null,
        type text not null,
        recipient bytea not null,
        data bytea not null,
        provider text not null,
        inbox_id bigint not null,
        seq bigint,
        send_at timestamptz,
        request_key bytea,
        request_hash bytea,
        reported text check (reported in ('delivered', 'failed')),
        reported_code text,
        reported_at timestamptz,
        created_at timestamptz not null default now()
      )
    `,
    sql`create index if not exists notifications_user on notifications (user_id, created_at, id)`,
    sql`create unique index if not exists notifications_seq on notifications (inbox_id, seq)`,
    sql`create unique index if not exists notifications_request on notifications (request_key) where request_key is not null`,
    sql`create index if not exists notifications_due on notifications (send_at) where seq is null`,
    sql`
      create table if not exists channels (
        scheme text primary key,
        provider text not null,
        seen_at timestamptz not null default now()
      )
    `,
  ];
  for (const statement of statements) await statement.execute(db);
}
