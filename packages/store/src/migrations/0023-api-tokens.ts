import { sql } from "kysely";
import type { Db } from "../database.ts";

/** An API token is a session that is used by its hash, for what its scopes allow, until it ends. */
export async function up(db: Db): Promise<void> {
  await sql`alter table sessions add column if not exists token_hash bytea`.execute(db);
  await sql`alter table sessions add column if not exists scopes text[]`.execute(db);
  await sql`create unique index if not exists sessions_token on sessions (token_hash) where token_hash is not null`.execute(db);
}
