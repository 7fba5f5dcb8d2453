import type { Db } from "../database.ts";
import { createIndex } from "./create-index.ts";

/** A group is made once under an `Idempotency-Key`. */
export async function up(db: Db): Promise<void> {
  await createIndex(db, "conversations_request_key", "conversations (request_key) where request_key is not null", "unique");
}
