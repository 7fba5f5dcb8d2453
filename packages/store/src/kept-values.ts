import { sql } from "kysely";
import type { Db } from "./database.ts";

/** What a deployment keeps under a name: what is there, or this, which is kept from now on. */
export async function keepValue(db: Db, key: string, value: string): Promise<string> {
  await sql`insert into meta (key, value) values (${key}, ${value}) on conflict do nothing`.execute(db);
  const { rows } = await sql<{ value: string }>`select value from meta where key = ${key}`.execute(db);
  return (rows[0] as { value: string }).value;
}

/** Puts another value in the place of one, unless somebody else has. */
export async function replaceValue(db: Db, key: string, from: string, to: string): Promise<void> {
  await sql`update meta set value = ${to} where key = ${key} and value = ${from}`.execute(db);
}
