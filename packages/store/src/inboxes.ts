import { sql } from "kysely";
import type { Db } from "./database.ts";

export interface Inbox {
  id: number;
  /** The seq of its last event; 0 where there was none yet. */
  head: number;
}

/** The inbox of a user; null where there is no such user. */
export async function findInbox(db: Db, userId: number): Promise<Inbox | null> {
  const { rows } = await sql<Inbox>`select id, head from inboxes where user_id = ${userId}`.execute(db);
  return rows[0] ?? null;
}

/** Locks the inbox of a user, but not its endpoints: changes of what is the user's come one after the other. Null where there is none. */
export async function lockUser(tx: Db, userId: number): Promise<number | null> {
  const { rows } = await sql<{ id: number }>`select id from inboxes where user_id = ${userId} for no key update`.execute(tx);
  return rows[0]?.id ?? null;
}
