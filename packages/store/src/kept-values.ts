import { sql } from "kysely";
import type { Db } from "./database.ts";

/** What a deployment keeps under a name: what is there, or what is made now, and kept from now on. */
export async function keepValue(db: Db, key: string, make: () => string): Promise<string> {
  const read = async (): Promise<string | undefined> => {
    const { rows } = await sql<{ value: string }>`select value from meta where key = ${key}`.execute(db);
    return rows[0]?.value;
  };
  const known = await read();
  if (known !== undefined) return known;
  await sql`insert into meta (key, value) values (${key}, ${make()}) on conflict do nothing`.execute(db);
  return (await read()) as string;
}

/** Puts another value in the place of one, unless somebody else has. */
export async function replaceValue(db: Db, key: string, from: string, to: string): Promise<void> {
  await sql`update meta set value = ${to} where key = ${key} and value = ${from}`.execute(db);
}
