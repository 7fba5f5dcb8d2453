import type { Db } from "../database.ts";
import { createIndex } from "./create-index.ts";

/** Finds the events that tell who was added to a group, whose names are erased with their accounts. */
export async function up(db: Db): Promise<void> {
  await createIndex(db, "events_added", "events (conversation_id) where kind = 'member.added'");
}
