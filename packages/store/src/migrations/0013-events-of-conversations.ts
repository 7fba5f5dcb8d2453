import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Which conversation an event is about that has no message. */
export async function up(db: Db): Promise<void> {
  await sql`alter table events add column if not exists conversation_id bigint`.execute(db);
}
