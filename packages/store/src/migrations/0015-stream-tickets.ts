import { sql } from "kysely";
import type { Db } from "../database.ts";

/** Each lets a session open one stream. After a crash there are none, which costs a client one more request. */
export async function up(db: Db): Promise<void> {
  await sql`
    create unlogged table if not exists stream_tickets (
      hash bytea primary key,
      session_id bigint not null,
      expires_at timestamptz not null
    )
  `.execute(db);
  await sql`create index if not exists stream_tickets_session on stream_tickets (session_id)`.execute(db);
}
