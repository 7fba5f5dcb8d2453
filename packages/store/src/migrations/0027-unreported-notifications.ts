import type { Db } from "../database.ts";
import { createIndex } from "./create-index.ts";

/** Finds notifications whose provider has said nothing of them since it took them. */
export async function up(db: Db): Promise<void> {
  const where = "provider_id is not null and reported is null";
  await createIndex(db, "notifications_unreported", `notifications (coalesce(send_at, created_at)) where ${where}`);
}
