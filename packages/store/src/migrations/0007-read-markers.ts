import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Up to which message each participant has read. (`read_seq` was never used.) */
export async function up(db: Db): Promise<void> {
  await sql`alter table participants add column if not exists read_at timestamptz, add column if not exists read_id uuid`.execute(
    db,
  );
}
