import { sql } from "kysely";
import type { Db } from "./database.ts";
import { lockInbox } from "./endpoints.ts";
import { IS_LIVE, noteUse } from "./sessions.ts";
import { createUser, NameTaken, NO_PASSWORD } from "./users.ts";

/** A bot, as its owner sees it. */
export interface BotRow {
  id: number;
  username: string;
  fullName: string | null;
  createdAt: Date;
}

const MAX_BOTS = 20;
const BOT = sql`id, username, full_name as "fullName", created_at as "createdAt"`;

/** The bots of a user, the oldest first. Locks nothing. */
export async function listBots(db: Db, owner: number): Promise<readonly BotRow[]> {
  const { rows } = await sql<BotRow>`select ${BOT} from users where owner_id = ${owner} order by id`.execute(db);
  return rows;
}

/** Makes a bot; `gone` where its owner is no more. Locks the owner's inbox. */
export async function createBot(
  db: Db,
  owner: number,
  bot: { username: string; usernameKey: string; fullName: string | null },
): Promise<BotRow | "taken" | "full" | "gone"> {
  try {
    return await db.transaction().execute(async (tx) => {
      if ((await lockInbox(tx, owner)) === null) return "gone";
      if ((await listBots(tx, owner)).length >= MAX_BOTS) return "full";
      const nothing = { phoneNumber: null, phoneKey: null, email: null, emailKey: null };
      const made = await createUser(tx, { ...bot, ...nothing, passwordHash: NO_PASSWORD });
      if ("taken" in made) throw new NameTaken(made.taken);
      const { rows } = await sql<BotRow>`update users set owner_id = ${owner} where id = ${made.id} returning ${BOT}`.execute(tx);
      return rows[0] as BotRow;
    });
  } catch (error) {
    if (error instanceof NameTaken) return "taken";
    throw error;
  }
}

/** Whether a bot is a user's. Locks nothing. */
export async function isBotOf(db: Db, owner: number, bot: number): Promise<boolean> {
  const { rows } = await sql`select from users where id = ${bot} and owner_id = ${owner}`.execute(db);
  return rows.length > 0;
}

/** A token that writes to one conversation alone, in its user's name. */
export interface HookRow {
  id: number;
  name: string;
  userId: number;
  createdAt: Date;
  /** Null where it was not used yet. */
  lastUsedAt: Date | null;
}

/** Who writes by a hook, and where to. */
export interface HookHolder {
  sessionId: number;
  userId: number;
  name: string;
  role: "user" | "admin";
  conversation: number;
}

const MAX_HOOKS = 20;
const HOOK = sql`
  s.id, s.device_name as name, s.user_id as "userId", s.created_at as "createdAt", nullif(s.last_seen_at, s.created_at) as "lastUsedAt"
`;

/** The hooks of a user for a conversation, the oldest first. Locks nothing. */
export async function listHooks(db: Db, userId: number, conversation: number): Promise<readonly HookRow[]> {
  const { rows } = await sql<HookRow>`
    select ${HOOK} from sessions s where s.user_id = ${userId} and s.conversation_id = ${conversation} and ${IS_LIVE} order by s.id
  `.execute(db);
  return rows;
}

/** Makes a hook; `no-conversation` where the user takes no part in it. Locks the user's inbox. */
export async function createHook(
  db: Db,
  { userId, conversation, name, hash }: { userId: number; conversation: number; name: string; hash: Uint8Array },
): Promise<HookRow | "no-conversation" | "full"> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    const part = await sql`select from participants where user_id = ${userId} and conversation_id = ${conversation}`.execute(tx);
    if (inbox === null || part.rows.length === 0) return "no-conversation";
    const { rows } = await sql<HookRow>`
      insert into sessions as s (user_id, device_name, scopes, token_hash, conversation_id)
      select ${userId}, ${name}, '{}', ${hash}::bytea, ${conversation}
      where ${MAX_HOOKS} > (select count(*) from sessions s where s.user_id = ${userId} and s.conversation_id is not null and ${IS_LIVE})
      returning ${HOOK}
    `.execute(tx);
    return rows[0] ?? "full";
  });
}

/** Ends a hook of a user; false where there is none that can be used. */
export async function endHook(
  db: Db,
  userId: number,
  { conversation, id }: { conversation: number; id: number },
): Promise<boolean> {
  const { rows } = await sql`
    update sessions s set revoked_at = now()
    where s.id = ${id} and s.user_id = ${userId} and s.conversation_id = ${conversation} and ${IS_LIVE} returning id
  `.execute(db);
  return rows.length > 0;
}

/** Finds a hook that can be used, and notes that it is, once a minute. Null where there is none. */
export async function useHook(db: Db, hash: Uint8Array): Promise<HookHolder | null> {
  const { rows } = await sql<HookHolder>`
    with ${noteUse(hash)}
    select s.id as "sessionId", u.id as "userId", coalesce(u.username, u.email) as name, u.role, s.conversation_id as conversation
    from sessions s join users u on u.id = s.user_id and u.suspended_at is null
    where s.token_hash = ${hash} and s.conversation_id is not null and ${IS_LIVE}
  `.execute(db);
  return rows[0] ?? null;
}
