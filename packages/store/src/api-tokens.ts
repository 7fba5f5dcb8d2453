import { sql } from "kysely";
import type { Db } from "./database.ts";
import { lockInbox } from "./endpoints.ts";
import { IS_LIVE, isStillPassword, noteUse } from "./sessions.ts";

/** An API token, as its user sees it. */
export interface ApiTokenRow {
  id: number;
  name: string;
  scopes: readonly string[];
  createdAt: Date;
  /** Null where it was not used yet. */
  lastUsedAt: Date | null;
  expiresAt: Date;
}

const ROW = sql`
  s.id, s.device_name as name, s.scopes, s.created_at as "createdAt", nullif(s.last_seen_at, s.created_at) as "lastUsedAt",
  s.refresh_expires_at as "expiresAt"
`;

/** A session `s` that is an API token: neither one of a log-in, nor an incoming webhook. */
const IS_API_TOKEN = sql`(s.token_hash is not null and s.conversation_id is null)`;

/**
 * Makes a token. `full` where the user has as many as `most`; `changed` where the account is no more, or its password is
 * another one than was given. Locks the user's inbox.
 */
export async function createApiToken(
  db: Db,
  token: {
    userId: number;
    /** Of the password that was given. */
    passwordHash: string;
    name: string;
    scopes: readonly string[];
    days: number;
    hash: Uint8Array;
    most: number;
  },
): Promise<ApiTokenRow | "full" | "changed"> {
  return db.transaction().execute(async (tx) => {
    if ((await lockInbox(tx, token.userId)) === null || !(await isStillPassword(tx, token))) return "changed";
    const { rows } = await sql<ApiTokenRow>`
      insert into sessions as s (user_id, device_name, scopes, token_hash, refresh_expires_at)
      select ${token.userId}, ${token.name}, ${token.scopes}::text[], ${token.hash}::bytea, now() + ${token.days} * interval '1 day'
      where ${token.most} > (select count(*) from sessions s where s.user_id = ${token.userId} and ${IS_API_TOKEN} and ${IS_LIVE})
      returning ${ROW}
    `.execute(tx);
    return rows[0] ?? "full";
  });
}

/** The tokens of a user that can be used, the newest first. Locks nothing. */
export async function listApiTokens(db: Db, userId: number): Promise<readonly ApiTokenRow[]> {
  const { rows } = await sql<ApiTokenRow>`
    select ${ROW} from sessions s where s.user_id = ${userId} and ${IS_API_TOKEN} and ${IS_LIVE} order by s.id desc
  `.execute(db);
  return rows;
}

/** Ends a token; false where there is none of this user that can be used. */
export async function endApiToken(db: Db, userId: number, id: number): Promise<boolean> {
  const { rows } = await sql`
    update sessions s set revoked_at = now() where s.id = ${id} and s.user_id = ${userId} and ${IS_API_TOKEN} and ${IS_LIVE}
    returning id
  `.execute(db);
  return rows.length > 0;
}

/** Whose a token is, and for what. */
export interface ApiTokenHolder {
  sessionId: number;
  userId: number;
  name: string;
  role: "user" | "admin";
  scopes: readonly string[];
  expiresAt: Date;
}

/** Finds a token that can be used, and notes that it is, once a minute. Null where there is none. */
export async function useApiToken(db: Db, hash: Uint8Array): Promise<ApiTokenHolder | null> {
  const { rows } = await sql<ApiTokenHolder>`
    with ${noteUse(hash)}
    select s.id as "sessionId", u.id as "userId", coalesce(u.username, u.email) as name, u.role, s.scopes, s.refresh_expires_at as "expiresAt"
    from sessions s join users u on u.id = s.user_id and u.suspended_at is null where s.token_hash = ${hash} and ${IS_API_TOKEN} and ${IS_LIVE}
  `.execute(db);
  return rows[0] ?? null;
}
