import { sql } from "kysely";
import type { Db } from "./database.ts";

/** Somebody as others find them. */
export interface FoundUser {
  id: number;
  username: string | null;
  fullName: string | null;
  about: string | null;
}

const FOUND = 20;

/**
 * Up to 20 users whose user name, full name, or a word of it begins with `prefix`, whatever its case and accents; or who
 * can be found by this e-mail address or phone number. None who block the one who searches. Locks nothing.
 */
export async function searchUsers(
  db: Db,
  by: number,
  { prefix, emailKey, phoneKey }: { prefix: string; emailKey: string | null; phoneKey: string | null },
): Promise<readonly FoundUser[]> {
  const { rows } = await sql<FoundUser>`
    with wanted as (select replace(replace(replace(fold_name(${prefix}), '\\', '\\\\'), '%', '\\%'), '_', '\\_') || '%' as pattern),
    found as (
      select user_id, min(key) as key from search_names where key like (select pattern from wanted) group by user_id
      union all
      select id, '' from users where (found_by_email and email_key = ${emailKey}) or (found_by_phone and phone_key = ${phoneKey})
    )
    select u.id, u.username, u.full_name as "fullName", u.about
    from (select user_id, min(key) as key from found group by user_id) one join users u on u.id = one.user_id
    where u.id <> ${by} and not exists (select from blocks where blocks.user_id = u.id and blocked_id = ${by})
    order by one.key, u.id limit ${FOUND}
  `.execute(db);
  return rows;
}

/** How many somebody can block. */
const MAX_BLOCKS = 1_000;

/**
 * Blocks a user: what they send to this one alone finds no receiver from then on. Nothing is said to them.
 * Locks the inbox.
 */
export async function blockUser(db: Db, userId: number, blocked: number): Promise<"blocked" | "no-user" | "full"> {
  return db.transaction().execute(async (tx) => {
    await sql`select from inboxes where user_id = ${userId} for no key update`.execute(tx);
    const { rows } = await sql<{ isThere: boolean; count: number }>`
      select exists (select from users where id = ${blocked}) as "isThere",
        (select count(*)::integer from blocks where user_id = ${userId} and blocked_id <> ${blocked}) as count
    `.execute(tx);
    const { isThere, count } = rows[0] as { isThere: boolean; count: number };
    if (!isThere) return "no-user";
    if (count >= MAX_BLOCKS) return "full";
    await sql`insert into blocks (user_id, blocked_id) values (${userId}, ${blocked}) on conflict do nothing`.execute(tx);
    await markInbox(tx, userId);
    return "blocked";
  });
}

/** Ends that, if it was so. Locks the inbox. */
export async function unblockUser(db: Db, userId: number, blocked: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`select from inboxes where user_id = ${userId} for no key update`.execute(tx);
    await sql`delete from blocks where user_id = ${userId} and blocked_id = ${blocked}`.execute(tx);
    await markInbox(tx, userId);
  });
}

/** The inbox is locked. */
async function markInbox(tx: Db, userId: number): Promise<void> {
  await sql`
    update inboxes set has_blocks = exists (select from blocks where blocks.user_id = ${userId}) where user_id = ${userId}
  `.execute(tx);
}

/** Whom a user blocks, the latest first. Locks nothing. */
export async function listBlocks(db: Db, userId: number): Promise<readonly (FoundUser & { at: Date })[]> {
  const { rows } = await sql<FoundUser & { at: Date }>`
    select u.id, u.username, u.full_name as "fullName", u.about, b.at
    from blocks b join users u on u.id = b.blocked_id where b.user_id = ${userId} order by b.at desc, u.id
  `.execute(db);
  return rows;
}

/** Whether one of these users blocks somebody. Locks nothing. */
export async function isBlocked(db: Db, { by, who }: { by: readonly number[]; who: number }): Promise<boolean> {
  const { rows } = await sql`
    select from blocks where user_id = any(${by}::bigint[]) and blocked_id = ${who} limit 1
  `.execute(db);
  return rows.length > 0;
}
