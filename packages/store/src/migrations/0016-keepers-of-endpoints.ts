import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Who keeps an endpoint: the sessions that use it, with the last of which it goes off; or its owner, until it is switched off or deleted. */
export async function up(db: Db): Promise<void> {
  await sql`
    alter table endpoints
      add column if not exists kept_by text not null default 'sessions' check (kept_by in ('sessions', 'owner'))
  `.execute(db);
}
