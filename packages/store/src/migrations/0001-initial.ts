import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * All tables. Rows that are updated for every message (`inboxes`, `endpoints`) leave half of each page free,
 * and no index covers what changes, so that their updates stay heap-only. The hot tables (`messages`,
 * `events`, `outbox`, `attempts`) have no foreign keys: a check of one takes a share lock on the parent for
 * every row, and the append statement holds the parent's lock anyway.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`create table meta (key text primary key, value text not null)`,

    sql`create table users (
      id bigint generated always as identity primary key,
      username text,
      username_key text unique,
      phone_number text,
      phone_key text unique,
      email text,
      email_key text unique,
      full_name text,
      password_hash text not null,
      role text not null default 'user' check (role in ('user', 'admin')),
      created_at timestamptz not null default now()
    )`,

    sql`create table inboxes (
      id bigint generated always as identity primary key,
      user_id bigint unique references users,
      address text unique,
      head bigint not null default 0,
      floor bigint not null default 0,
      version bigint not null default 0,
      check ((user_id is null) <> (address is null))
    ) with (fillfactor = 50)`,

    sql`create table events (
      inbox_id bigint not null,
      seq bigint not null,
      id uuid not null,
      kind text not null,
      message_id uuid,
      data bytea,
      created_at timestamptz not null default now(),
      primary key (inbox_id, seq)
    )`,
    sql`create index events_message on events (message_id)`,

    sql`create table endpoints (
      id bigint generated always as identity primary key,
      inbox_id bigint not null references inboxes,
      address text not null,
      kinds text[] not null,
      secret bytea not null,
      previous_secret bytea,
      previous_secret_until timestamptz,
      cursor bigint not null default 0,
      failures integer not null default 0,
      server_errors integer not null default 0,
      rejections integer not null default 0,
      rejected_before boolean not null default false,
      failing_since timestamptz,
      retry_at timestamptz,
      lease_by text,
      generation bigint not null default 0,
      state text not null default 'active' check (state in ('active', 'off')),
      reason text,
      created_at timestamptz not null default now(),
      unique (inbox_id, address)
    ) with (fillfactor = 50)`,
    sql`create index endpoints_retry on endpoints (retry_at) where retry_at is not null`,

    sql`create table sessions (
      id bigint generated always as identity primary key,
      user_id bigint references users,
      refresh_hash bytea,
      refresh_expires_at timestamptz,
      device_name text,
      public_key text,
      endpoint_id bigint references endpoints,
      created_at timestamptz not null default now(),
      last_seen_at timestamptz not null default now(),
      revoked_at timestamptz
    )`,
    sql`create index sessions_live on sessions (user_id) where revoked_at is null`,
    sql`create index sessions_endpoint on sessions (endpoint_id) where endpoint_id is not null`,
    sql`create index sessions_public_key on sessions (user_id, id) where public_key is not null`,
    sql`create index sessions_revoked on sessions (revoked_at) where revoked_at is not null`,

    sql`create table conversations (
      id bigint generated always as identity primary key,
      low_user_id bigint not null,
      high_user_id bigint not null,
      created_at timestamptz not null default now(),
      unique (low_user_id, high_user_id),
      check (low_user_id <= high_user_id)
    )`,
    sql`create table participants (
      conversation_id bigint not null references conversations,
      user_id bigint not null,
      read_seq bigint not null default 0,
      primary key (conversation_id, user_id)
    )`,
    sql`create index participants_user on participants (user_id)`,

    sql`create table messages (
      id uuid primary key,
      conversation_id bigint not null,
      sender_id bigint not null,
      content bytea,
      request_key bytea,
      sent_at timestamptz not null,
      created_at timestamptz not null default now(),
      edited_at timestamptz,
      deleted_at timestamptz
    )`,
    sql`create unique index messages_request_key on messages (request_key) where request_key is not null`,
    sql`create index messages_conversation on messages (conversation_id, created_at, id)`,

    sql`create table outbox (
      id bigint generated always as identity primary key,
      created_at timestamptz not null default now(),
      due_at timestamptz not null default now() + interval '5 seconds',
      inbox_ids bigint[] not null
    ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
    sql`create index outbox_due on outbox (due_at)`,

    sql`create table attempts (
      endpoint_id bigint not null,
      seq bigint not null,
      attempt integer not null,
      at timestamptz not null,
      outcome text not null,
      status smallint,
      ms integer not null,
      error text,
      primary key (endpoint_id, seq, at)
    )`,
    sql`create index attempts_at on attempts using brin (at)`,

    sql`create table dead_letters (
      endpoint_id bigint not null,
      seq bigint not null,
      reason text not null,
      at timestamptz not null default now(),
      primary key (endpoint_id, seq)
    )`,
  ];
  for (const statement of statements) await statement.execute(db);
}
