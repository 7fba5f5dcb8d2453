import { sql } from "kysely";
import type { Db } from "../database.ts";
import { createIndex } from "./create-index.ts";

/** Lists pass over deleted messages, however many there are. */
export async function up(db: Db): Promise<void> {
  await createIndex(db, "messages_undeleted", "messages (conversation_id, created_at, id) where content is not null");
  await sql`drop index concurrently if exists messages_conversation`.execute(db);
}
