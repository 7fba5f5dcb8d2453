import { sql } from "kysely";
import type { Db } from "../database.ts";

/** What lets somebody make an account where not everybody may: each one account. Nothing of who used it is kept. */
export async function up(db: Db): Promise<void> {
  await sql`
    create table if not exists invitations (
      id bigint generated always as identity primary key,
      hash bytea not null unique,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null,
      used_at timestamptz
    )
  `.execute(db);
}
