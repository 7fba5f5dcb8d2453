import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Accounts that an operator has suspended, and what operators have done. */
export async function up(db: Db): Promise<void> {
  await sql`alter table users add column if not exists suspended_at timestamptz`.execute(db);
  await sql`
    create table if not exists audit_log (
      id bigint generated always as identity primary key,
      at timestamptz not null default now(),
      actor text not null,
      action text not null,
      user_id bigint
    )
  `.execute(db);
}
