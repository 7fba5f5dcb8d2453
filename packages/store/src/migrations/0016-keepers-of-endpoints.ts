import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * Who keeps an endpoint: the sessions that use it, with the last of which it goes off (`sessions`); or its owner,
 * until it is switched off or deleted (`owner`). And the cursor at which it was attached: what is below that, it
 * never took. (Endpoints that were there before count as having taken all.)
 */
export async function up(db: Db): Promise<void> {
  await sql`
    alter table endpoints
      add column if not exists kept_by text not null default 'sessions',
      add column if not exists attached_at bigint not null default 0
  `.execute(db);
}
