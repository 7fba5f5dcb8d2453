import { sql } from "kysely";
import type { Db } from "./database.ts";

export interface StoredMessage {
  id: string;
  conversation: number;
  /** Sealed under the id; null once it was erased. */
  content: Uint8Array | null;
  version: number;
  createdAt: string;
}

/** A message of a conversation that the user takes part in; null otherwise. */
export async function findMessage(db: Db, id: string, userId: number): Promise<StoredMessage | null> {
  const { rows } = await sql<Omit<StoredMessage, "createdAt"> & { createdAt: Date }>`
    select m.id, m.conversation_id as conversation, m.content, m.version, m.created_at as "createdAt"
    from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
    where m.id = ${id} and m.deleted_at is null
  `.execute(db);
  const row = rows[0];
  return row === undefined ? null : { ...row, createdAt: row.createdAt.toISOString() };
}
