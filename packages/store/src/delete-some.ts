import { type RawBuilder, sql } from "kysely";
import type { Db } from "./database.ts";

const AT_ONCE = 5_000;

/** Deletes rows bit by bit, so that no statement takes long or holds anybody up. Can be broken off, and run again. */
export async function deleteSome(
  db: Db,
  table: "attempts" | "dead_letters" | "events" | "message_versions" | "messages" | "reactions" | "sessions",
  where: RawBuilder<unknown>,
): Promise<void> {
  const name = sql.table(table);
  for (;;) {
    const result = await sql`
      delete from ${name} where ctid = any(array(select ctid from ${name} where ${where} limit ${AT_ONCE}))
    `.execute(db);
    if (Number(result.numAffectedRows ?? 0) < AT_ONCE) return;
  }
}
