import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Endpoints that are off are few among many, and counted every few seconds. */
export async function up(db: Db): Promise<void> {
  await sql`create index endpoints_off on endpoints (inbox_id) where state = 'off'`.execute(db);
}
