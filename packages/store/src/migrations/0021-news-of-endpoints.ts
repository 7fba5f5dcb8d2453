import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * What owners are told of their endpoints: `is_told` is false where one was switched off, or a dead letter was made,
 * and its owner has no event of that yet; `warned_for` is the beginning of the failures that its owner was warned of.
 * What is there already, they are not told.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`alter table endpoints add column if not exists is_told boolean not null default true`,
    sql`alter table endpoints add column if not exists warned_for timestamptz`,
    sql`alter table dead_letters add column if not exists is_told boolean not null default true`,
    sql`alter table dead_letters alter column is_told set default false`,
    sql`create index if not exists endpoints_untold on endpoints (id) where not is_told`,
    sql`create index if not exists endpoints_failing on endpoints (failing_since) where failing_since is not null and state = 'active'`,
    sql`create index if not exists dead_letters_untold on dead_letters (endpoint_id, seq) where not is_told`,
  ];
  for (const statement of statements) await statement.execute(db);
}
