import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Accounts at OpenID Connect providers that users sign in by, and which sign-ins were ended. */
export async function up(db: Db): Promise<void> {
  await sql`
    create table if not exists identities (
      id bigint generated always as identity primary key,
      user_id bigint not null references users on delete cascade,
      issuer text not null,
      subject text not null,
      created_at timestamptz not null default now(),
      last_used_at timestamptz not null default now(),
      unique (issuer, subject)
    )
  `.execute(db);
  await sql`create index if not exists identities_user on identities (user_id)`.execute(db);
  await sql`create table if not exists used_sign_ins (hash bytea primary key, at timestamptz not null default now())`.execute(db);
}
