import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * What owners set of their endpoints; `headers` and `signing_key` are sealed. `replaying` while a dead letter of
 * the endpoint is to be pushed again (`asked`). `probes` are what a listener asks a sender to push outside of the
 * log: tests, and challenges to prove an address. `answer` is the beginning of a failed answer, sealed.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`
      alter table endpoints
        add column if not exists timeout_s smallint not null default 15,
        add column if not exists max_per_second integer,
        add column if not exists is_thin boolean not null default false,
        add column if not exists headers bytea,
        add column if not exists signing_key bytea,
        add column if not exists verified_at timestamptz,
        add column if not exists begins_off boolean not null default false,
        add column if not exists replaying boolean not null default false
    `,
    sql`alter table attempts add column if not exists answer bytea`,
    sql`alter table dead_letters add column if not exists asked boolean not null default false`,
    sql`create index if not exists dead_letters_asked on dead_letters (endpoint_id, seq) where asked`,
    sql`create index if not exists endpoints_replaying on endpoints (id) where replaying`,
    sql`
      create table if not exists probes (
        id uuid primary key,
        endpoint_id bigint not null,
        inbox_id bigint not null,
        kind text not null check (kind in ('test', 'challenge')),
        token text,
        created_at timestamptz not null default now(),
        due_at timestamptz not null default now(),
        result text,
        status smallint,
        ms integer,
        error text,
        answer bytea
      )
    `,
    sql`create unique index if not exists probes_open on probes (endpoint_id) where result is null`,
    sql`create index if not exists probes_inbox on probes (inbox_id)`,
    sql`create index if not exists probes_due on probes (due_at) where result is null`,
  ];
  for (const statement of statements) await statement.execute(db);
}
