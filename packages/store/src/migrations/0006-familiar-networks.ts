import { sql } from "kysely";
import type { Db } from "../database.ts";

/** From where people signed in: not slowed down while strangers guess at their passwords. */
export async function up(db: Db): Promise<void> {
  await sql`
    create table if not exists familiar_networks (
      user_id bigint not null references users on delete cascade,
      network text not null,
      at timestamptz not null default now(),
      primary key (user_id, network)
    )
  `.execute(db);
}
