import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Which version of its message an event is about; null for the first. */
export async function up(db: Db): Promise<void> {
  await sql`alter table events add column if not exists message_version integer`.execute(db);
}
