import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * `totp` has what codes of a user's authenticator are made of, sealed, from `confirmed_at` on asked for at each log-in;
 * `last_step` is the time step of the last code that was used. `recovery_codes` stand in for one, once each.
 * `password_resets` are codes, sealed, by which a forgotten password is replaced.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`
      create table if not exists totp (
        user_id bigint primary key,
        secret bytea not null,
        confirmed_at timestamptz,
        last_step bigint not null default 0
      )
    `,
    sql`create table if not exists recovery_codes (user_id bigint not null, hash bytea not null, primary key (user_id, hash))`,
    sql`
      create table if not exists password_resets (
        user_id bigint primary key,
        code bytea not null,
        code_at timestamptz not null default now(),
        tries smallint not null default 0
      )
    `,
  ];
  for (const statement of statements) await statement.execute(db);
}
