import type { Db } from "../database.ts";
import { createIndex } from "./create-index.ts";

/** Sessions that expire, and accounts that are being erased: both are few among many, and looked for every hour. */
export async function up(db: Db): Promise<void> {
  await createIndex(db, "sessions_expiring", "sessions (refresh_expires_at) where revoked_at is null");
  await createIndex(db, "inboxes_erased", "inboxes (id) where address like 'erased:%'");
}
