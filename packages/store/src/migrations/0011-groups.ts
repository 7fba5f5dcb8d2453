import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * A conversation of more than two has no pair of users, but a title, sealed; `members_version` rises with each
 * change of its members.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`alter table conversations
      alter column low_user_id drop not null,
      alter column high_user_id drop not null,
      add column if not exists title bytea,
      add column if not exists members_version bigint not null default 0,
      add column if not exists request_key bytea,
      add column if not exists request bytea`,
    sql`create table if not exists bans (
      conversation_id bigint not null,
      user_id bigint not null,
      by_user_id bigint not null,
      at timestamptz not null default now(),
      primary key (conversation_id, user_id)
    )`,
    sql`create index if not exists bans_user on bans (user_id)`,
    sql`create table if not exists invites (
      id uuid primary key,
      conversation_id bigint not null,
      token_hash bytea not null unique,
      token bytea not null,
      by_user_id bigint not null,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null
    )`,
    sql`create index if not exists invites_conversation on invites (conversation_id)`,
    sql`create table if not exists reactions (
      message_id uuid not null,
      emoji text not null,
      user_id bigint not null,
      at timestamptz not null default now(),
      primary key (message_id, emoji, user_id)
    )`,
    sql`create index if not exists reactions_user on reactions (user_id)`,
    sql`create table if not exists abandoned_groups (
      conversation_id bigint primary key,
      at timestamptz not null default now()
    )`,
  ];
  for (const statement of statements) await statement.execute(db);
}
