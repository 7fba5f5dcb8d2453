import { type Kysely, sql } from "kysely";

/** Endpoints that are off are few among many, and counted every few seconds. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index endpoints_off on endpoints (inbox_id) where state = 'off'`.execute(db);
}
