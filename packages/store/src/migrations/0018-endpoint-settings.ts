import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * What owners set of their endpoints. `headers` and `signing_key` are sealed. Endpoints of log-ins count as
 * verified: their addresses were given with a password.
 */
export async function up(db: Db): Promise<void> {
  await sql`
    alter table endpoints
      add column if not exists timeout_s smallint not null default 15,
      add column if not exists max_per_second integer,
      add column if not exists is_thin boolean not null default false,
      add column if not exists headers bytea,
      add column if not exists signing_key bytea,
      add column if not exists verified_at timestamptz,
      add column if not exists changed_at timestamptz
  `.execute(db);
}
