import { createHash } from "node:crypto";
import { parseAddress } from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";

/** Why an endpoint is disabled whose address answered 410. */
export const GONE = "the address answered 410 Gone";

const REMEMBERED_DAYS = 1;

/** Of an address as it is asked, so that another spelling of it is the same one. */
function hashOf(address: string) {
  const read = parseAddress(address);
  return createHash("sha256")
    .update(read.usable ? read.url.href.replace(/[?#]+$/u, "") : address)
    .digest();
}

/** Remembers for a day that an address wants nothing more of this inbox: no other one has anything sent there. */
export async function rememberGone(db: Db, inbox: number, address: string): Promise<void> {
  await sql`
    insert into gone_addresses (hash, inbox_id, until)
    values (${hashOf(address)}, ${inbox}, now() + ${REMEMBERED_DAYS} * interval '1 day')
    on conflict (hash) do update set inbox_id = excluded.inbox_id, until = excluded.until
  `.execute(db);
}

/** Whether an address answered 410 Gone to another inbox lately. Locks nothing. */
export async function isGoneForOthers(db: Db, inbox: number, address: string): Promise<boolean> {
  const { rows } = await sql`
    select from gone_addresses where hash = ${hashOf(address)} and inbox_id <> ${inbox} and until > now()
  `.execute(db);
  return rows.length > 0;
}

/** It has shown that it takes pushes of this inbox again. */
export async function forgetGone(db: Db, inbox: number, address: string): Promise<void> {
  await sql`delete from gone_addresses where hash = ${hashOf(address)} and inbox_id = ${inbox}`.execute(db);
}

export async function pruneGone(db: Db): Promise<void> {
  await sql`delete from gone_addresses where until < now()`.execute(db);
}
