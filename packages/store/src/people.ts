import { sql } from "kysely";
import type { Db } from "./database.ts";
import { lockUser } from "./inboxes.ts";

/** Somebody as others find them. */
export interface FoundUser {
  id: number;
  username: string | null;
  fullName: string | null;
  about: string | null;
}

const FOUND = 20;

/** Of names that begin alike, so many are looked at. */
const LOOKED_AT = 500;
/** Comes after every other character, in the order of bytes. */
const LAST = "\u{10FFFF}";

/** A name as it is searched for: without case and accents. */
export async function foldName(db: Db, name: string): Promise<string> {
  const { rows } = await sql<{ folded: string }>`select fold_name(${name}) as folded`.execute(db);
  return (rows[0] as { folded: string }).folded;
}

/**
 * Up to 20 users whose user name, full name, or a word of it begins with `prefix`, as `foldName` gives it; or who
 * can be found by this e-mail address or phone number. None who block the one who searches. Locks nothing.
 */
export async function searchUsers(
  db: Db,
  by: number,
  { prefix, emailKey, phoneKey }: { prefix: string; emailKey: string | null; phoneKey: string | null },
): Promise<readonly FoundUser[]> {
  const { rows } = await sql<FoundUser>`
    with found as (
      -- a range, and not a pattern, which an index could not be used for where it is a parameter
      (select user_id, key from search_names where key ~>=~ ${prefix} and key ~<~ ${prefix + LAST} order by key using ~<~ limit ${LOOKED_AT})
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
    if ((await lockUser(tx, userId)) === null) return "no-user";
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
    await lockUser(tx, userId);
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

/** Forgets blocks of users who are no more, or of whom nothing is left: one may have been made while the account ended. */
export async function pruneBlocks(db: Db): Promise<void> {
  await sql`
    delete from blocks b
    where not exists (select from users u where u.id = b.user_id) or not exists (select from users u where u.id = b.blocked_id)
  `.execute(db);
}

/** Whom a user blocks, the latest first. Locks nothing. */
export async function listBlocks(db: Db, userId: number): Promise<readonly (FoundUser & { at: Date })[]> {
  const { rows } = await sql<FoundUser & { at: Date }>`
    select u.id, u.username, u.full_name as "fullName", u.about, b.at
    from blocks b join users u on u.id = b.blocked_id where b.user_id = ${userId} order by b.at desc, u.id
  `.execute(db);
  return rows;
}

/** In a conversation of two: whether the other one blocks a user, and whether that user blocks the other one. Locks nothing. */
export async function findBlocks(
  db: Db,
  conversation: number,
  userId: number,
): Promise<{ isBlocked: boolean; isBlocking: boolean }> {
  const { rows } = await sql<{ isBlocked: boolean; isBlocking: boolean }>`
    select coalesce(bool_or(b.blocked_id = ${userId}), false) as "isBlocked", coalesce(bool_or(b.user_id = ${userId}), false) as "isBlocking"
    from conversations c join blocks b
      on (b.user_id = c.low_user_id and b.blocked_id = c.high_user_id) or (b.user_id = c.high_user_id and b.blocked_id = c.low_user_id)
    where c.id = ${conversation}
  `.execute(db);
  return rows[0] as { isBlocked: boolean; isBlocking: boolean };
}

/**
 * Whether one of these users does not want to be added to a group by somebody: blocks them, asks to be asked first and has
 * not accepted them, or is being erased. Locks nothing.
 */
export async function refusesToBeAdded(db: Db, { by, who }: { by: readonly number[]; who: number }): Promise<boolean> {
  const others = by.filter((id) => id !== who);
  const { rows } = await sql`
    select from users u join inboxes b on b.user_id = u.id where u.id = any(${others}::bigint[]) and (
      u.deleting_at is not null or (b.screens and not exists (
        select from conversations c join participants p on p.conversation_id = c.id and p.user_id = u.id and p.request is null
        where c.low_user_id = least(u.id, ${who}) and c.high_user_id = greatest(u.id, ${who})
      ))
    ) limit 1
  `.execute(db);
  return rows.length > 0 || (await isBlocked(db, { by, who }));
}

/** Whether one of these users blocks somebody. Locks nothing. */
async function isBlocked(db: Db, { by, who }: { by: readonly number[]; who: number }): Promise<boolean> {
  const { rows } = await sql`
    select from blocks where user_id = any(${by}::bigint[]) and blocked_id = ${who} limit 1
  `.execute(db);
  return rows.length > 0;
}
