import { sql } from "kysely";
import type { Db } from "../database.ts";

/** What others are told of a user: how far they have read, when they type, and whether they are there. */
export async function up(db: Db): Promise<void> {
  await sql`
    alter table users
      add column if not exists receipts boolean not null default true,
      add column if not exists typing boolean not null default true,
      add column if not exists presence boolean not null default true
  `.execute(db);
}
