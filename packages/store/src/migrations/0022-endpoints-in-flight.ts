import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * `max_in_flight` of an endpoint: pushes of it that may be in flight at the same time. `gone_addresses` are those that
 * answered 410 Gone to an inbox, by their SHA-256: until then, no other account has anything sent there.
 * `operator_news` is what the operator is to be told of endpoints, until that is done.
 * `provider_id` of a notification is what its provider calls it; `asked_at` is when the provider was asked about it.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`alter table endpoints add column if not exists max_in_flight smallint not null default 1`,
    sql`create table if not exists gone_addresses (hash bytea primary key, inbox_id bigint not null, until timestamptz not null)`,
    sql`
      create table if not exists operator_news (
        id bigint generated always as identity primary key,
        kind text not null,
        endpoint_id bigint not null,
        reason text,
        at timestamptz not null default now()
      )
    `,
    sql`alter table notifications add column if not exists provider_id text`,
    sql`alter table notifications add column if not exists asked_at timestamptz`,
  ];
  for (const statement of statements) await statement.execute(db);
}
