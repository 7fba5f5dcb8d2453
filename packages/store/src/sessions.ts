import { sql } from "kysely";
import type { Db } from "./database.ts";
import { announceChange, attachEndpoint, type EndpointsChanged, lockInbox, type NewEndpoint, switchOff } from "./endpoints.ts";

/** At most so many sessions of a user are live; the oldest ends when another begins. */
const MAX_LIVE_SESSIONS = 100;

export interface NewSession {
  userId: number;
  /** The hash of the password that was given; null where the account was made just now. */
  passwordHash: string | null;
  /** SHA-256 of the refresh token that belongs to this session. */
  refreshHash(sessionId: number): Uint8Array;
  refreshDays: number;
  deviceName: string | null;
  publicKey: string | null;
  /** Where this session's messages are pushed to. */
  endpoint: NewEndpoint | null;
}

/** A session `s` that can be used: neither ended nor expired. The only place that says so. */
export const IS_LIVE = sql`(s.revoked_at is null and (s.refresh_expires_at is null or s.refresh_expires_at > now()))`;

/** A common table expression, `used`: notes, once a minute, that the token of this hash is used. */
export const noteUse = (hash: Uint8Array) => sql`used as (
  update sessions s set last_seen_at = now()
  where s.token_hash = ${hash} and ${IS_LIVE} and (s.last_seen_at = s.created_at or s.last_seen_at < now() - interval '1 minute')
)`;

/** A session `s` that a log-in began: no API token. */
const IS_DEVICE = sql`s.token_hash is null`;

/** Ends sessions, and switches off the endpoints that no live session uses any more. */
async function endSessions(tx: Db, sessionIds: readonly number[], reason: string): Promise<void> {
  await sql`
    update sessions set revoked_at = now() where id = any(${sessionIds}::bigint[]) and revoked_at is null
  `.execute(tx);
  await sql`
    update endpoints e set ${switchOff(reason)}
    where id in (select endpoint_id from sessions where id = any(${sessionIds}::bigint[])) and state = 'active' and kept_by = 'sessions'
      and not exists (select from sessions s where s.endpoint_id = e.id and ${IS_LIVE})
  `.execute(tx);
}

const EXPIRED_AT_ONCE = 100;

/**
 * Ends sessions that have expired, with all that follows for their endpoints. Locks each user's inbox, and
 * then its endpoints.
 */
export async function endExpiredSessions(db: Db): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ id: number; userId: number | null }>`
      select id, user_id as "userId" from sessions where revoked_at is null and refresh_expires_at < now()
      order by refresh_expires_at limit ${EXPIRED_AT_ONCE}
    `.execute(db);
    for (const [userId, sessions] of Map.groupBy(rows, (row) => row.userId)) {
      await db.transaction().execute(async (tx) => {
        const inbox = userId === null ? null : await lockInbox(tx, userId);
        await endSessions(
          tx,
          sessions.map(({ id }) => id),
          "its session has expired",
        );
        if (inbox !== null) await announceChange(tx, inbox.id);
      });
    }
    if (rows.length < EXPIRED_AT_ONCE) return;
  }
}

/** Whether a user's password is the one that was given: it may have been changed, or its user suspended, until the inbox was locked. */
export async function isStillPassword(
  tx: Db,
  { userId, passwordHash }: Pick<NewSession, "userId" | "passwordHash">,
): Promise<boolean> {
  const { rows } = await sql`
    select from users where id = ${userId} and suspended_at is null and password_hash = coalesce(${passwordHash}, password_hash)
  `.execute(tx);
  return rows.length > 0;
}

export interface BegunSession {
  sessionId: number;
  /** The secret of its endpoint, if it has one: a new one, or that which the endpoint had. */
  secret: { inbox: number; sealed: Uint8Array } | null;
  /** Its endpoint, if its address has to answer a challenge first. */
  unverified: { id: number; inbox: number } | null;
  changed: EndpointsChanged | null;
}

/**
 * Begins a session, with its endpoint if it has one; `changed` where that changed the inbox's endpoints.
 * Returns null where the user was deleted meanwhile, or suspended, or has another password. Locks the inbox, then its
 * endpoints.
 */
export async function beginSession(db: Db, session: NewSession): Promise<BegunSession | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, session.userId);
    if (inbox === null || !(await isStillPassword(tx, session))) return null;
    const endpoint = session.endpoint === null ? null : await attachEndpoint(tx, inbox, session.endpoint);
    const { rows } = await sql<{ id: number }>`
      insert into sessions (user_id, refresh_expires_at, device_name, public_key, endpoint_id)
      values (${session.userId}, now() + ${session.refreshDays} * interval '1 day',
        ${session.deviceName}, ${session.publicKey}, ${endpoint?.id ?? null})
      returning id
    `.execute(tx);
    const sessionId = (rows[0] as { id: number }).id;
    await sql`update sessions set refresh_hash = ${session.refreshHash(sessionId)} where id = ${sessionId}`.execute(tx);
    const surplus = await sql<{ id: number }>`
      select id from sessions s where user_id = ${session.userId} and ${IS_DEVICE} and ${IS_LIVE} order by id desc offset ${MAX_LIVE_SESSIONS}
    `.execute(tx);
    if (surplus.rows.length > 0)
      await endSessions(
        tx,
        surplus.rows.map((row) => row.id),
        "signed out",
      );
    const changed = session.endpoint !== null || surplus.rows.length > 0;
    const secret = endpoint === null ? null : { inbox: inbox.id, sealed: endpoint.secret };
    const unverified = endpoint?.isUnverified === true ? { id: endpoint.id, inbox: inbox.id } : null;
    return { sessionId, secret, unverified, changed: changed ? await announceChange(tx, inbox.id) : null };
  });
}

/**
 * Ends a session of this user. Returns null where it is none, or has ended already. Locks the inbox, then its
 * endpoints.
 */
export async function endSession(db: Db, userId: number, sessionId: number): Promise<EndpointsChanged | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    if (inbox === null) return null;
    const live = await sql`
      select from sessions s where id = ${sessionId} and user_id = ${userId} and revoked_at is null and ${IS_DEVICE}
    `.execute(tx);
    if (live.rows.length === 0) return null;
    await endSessions(tx, [sessionId], "signed out");
    return announceChange(tx, inbox.id);
  });
}

/** A session that can be used, as its user sees it. */
export interface SessionRow {
  id: number;
  deviceName: string | null;
  publicKey: string | null;
  address: string | null;
  createdAt: Date;
  lastSeenAt: Date;
  expiresAt: Date | null;
}

const ROW = sql`
  s.id, s.device_name as "deviceName", s.public_key as "publicKey", (select address from endpoints e where e.id = s.endpoint_id) as address,
  s.created_at as "createdAt", s.last_seen_at as "lastSeenAt", s.refresh_expires_at as "expiresAt"
`;

/** The live sessions of a user, the newest first. Locks nothing. */
export async function listSessions(db: Db, userId: number): Promise<readonly SessionRow[]> {
  const { rows } = await sql<SessionRow>`
    select ${ROW} from sessions s where s.user_id = ${userId} and ${IS_DEVICE} and ${IS_LIVE} order by s.id desc limit ${MAX_LIVE_SESSIONS}
  `.execute(db);
  return rows;
}

/** Ends all sessions and API tokens of a user; returns which. The inbox and its endpoints are locked. */
export async function endAllSessions(tx: Db, userId: number, reason: string): Promise<readonly number[]> {
  const { rows } = await sql<{ id: number }>`
    select id from sessions s where s.user_id = ${userId} and s.revoked_at is null
  `.execute(tx);
  const ended = rows.map(({ id }) => id);
  await endSessions(tx, ended, reason);
  return ended;
}

/** Notes that a session's user gave their password again. */
export async function confirmSession(db: Db, id: number): Promise<void> {
  await sql`update sessions set confirmed_at = now() where id = ${id}`.execute(db);
}

/**
 * Whether a session, or an API token, is an administrator's; and whether its user has given their password within the last
 * minutes. Null where it cannot be used. Locks nothing.
 */
export async function findAdmin(db: Db, id: number, minutes: number): Promise<{ isAdmin: boolean; isConfirmed: boolean } | null> {
  const { rows } = await sql<{ isAdmin: boolean; isConfirmed: boolean }>`
    select u.role = 'admin' as "isAdmin", greatest(s.created_at, s.confirmed_at) > now() - ${minutes} * interval '1 minute' as "isConfirmed"
    from sessions s join users u on u.id = s.user_id and u.suspended_at is null where s.id = ${id} and ${IS_LIVE}
  `.execute(db);
  return rows[0] ?? null;
}

/** Whether a session began within the last minutes: what stands in for the password of an account that has none. */
export async function isFreshSession(db: Db, id: number, minutes: number): Promise<boolean> {
  const { rows } = await sql`
    select from sessions s where s.id = ${id} and ${IS_LIVE} and s.created_at > now() - ${minutes} * interval '1 minute'
  `.execute(db);
  return rows.length > 0;
}

/** Names a live session of a user, or gives it a public key; what is null stays. Null where it is none. */
export async function changeSession(
  db: Db,
  userId: number,
  id: number,
  { deviceName, publicKey }: { deviceName: string | null; publicKey: string | null },
): Promise<SessionRow | null> {
  const { rows } = await sql<SessionRow>`
    update sessions s set device_name = coalesce(${deviceName}, device_name), public_key = coalesce(${publicKey}, public_key)
    where s.id = ${id} and s.user_id = ${userId} and ${IS_DEVICE} and ${IS_LIVE} returning ${ROW}
  `.execute(db);
  return rows[0] ?? null;
}

/**
 * Gives a user another password, and ends all their sessions but one. Returns null if the password was changed meanwhile:
 * `before` is the hash of the one that was given. Locks the inbox, then its endpoints.
 */
export async function changePassword(
  db: Db,
  userId: number,
  { before, passwordHash, except }: { before: string; passwordHash: string; except: number },
): Promise<{ ended: readonly number[]; changed: EndpointsChanged } | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    const { rows: changed } = await sql`
      update users set password_hash = ${passwordHash} where id = ${userId} and password_hash = ${before} returning id
    `.execute(tx);
    if (inbox === null || changed.length === 0) return null;
    const ended = await endDeviceSessions(tx, userId, except);
    return { ended, changed: await announceChange(tx, inbox.id) };
  });
}

/** Ends all sessions of a user but one, as the password was changed; returns which. The inbox and its endpoints are locked. */
export async function endDeviceSessions(tx: Db, userId: number, except: number | null): Promise<readonly number[]> {
  const { rows } = await sql<{ id: number }>`
    select id from sessions s where s.user_id = ${userId} and ${IS_DEVICE} and ${IS_LIVE} and s.id is distinct from ${except}
  `.execute(tx);
  const ended = rows.map(({ id }) => id);
  await endSessions(tx, ended, "the password was changed");
  return ended;
}

export type RefreshResult =
  /**
   * The token was the current one, or was replaced within the last 30 s. `refreshHash` says which successor
   * is the session's token now.
   */
  | {
      status: "refreshed";
      sessionId: number;
      userId: number;
      name: string;
      role: "user" | "admin";
      refreshHash: Uint8Array;
    }
  /** The token was used before, some time ago: somebody else has it, too. */
  | { status: "reused"; sessionId: number; userId: number }
  | { status: "unknown" };

/** A client that did not get the answer may repeat the request for so long, and gets the same one. */
const REFRESH_REPEATS_SECONDS = 30;

/**
 * Replaces a session's refresh token by the first of its successors. `presented` is the hash of a token that
 * was once given to this session. `successors` are the hashes of all tokens that a process of this deployment
 * replaces it by: so a repeat finds one of them in its place, whichever process answered before. Where
 * neither the token nor a successor is the current one, somebody used it before. Locks the session.
 */
export async function rotateRefresh(
  db: Db,
  rotation: { sessionId: number; presented: Uint8Array; successors: readonly [Uint8Array, ...Uint8Array[]]; refreshDays: number },
): Promise<RefreshResult> {
  const { sessionId, successors } = rotation;
  const rotated = await sql<{ userId: number; name: string; role: "user" | "admin"; refreshHash: Uint8Array }>`
    update sessions s set
      refresh_hash = case when s.refresh_hash = ${rotation.presented} then ${successors[0]} else s.refresh_hash end,
      refresh_expires_at = now() + ${rotation.refreshDays} * interval '1 day',
      refreshed_at = case when s.refresh_hash = ${rotation.presented} then now() else s.refreshed_at end,
      last_seen_at = now()
    from users u
    where s.id = ${sessionId} and ${IS_LIVE} and u.id = s.user_id and (
      s.refresh_hash = ${rotation.presented}
      or (s.refresh_hash in (${sql.join(successors)}) and s.refreshed_at > now() - ${REFRESH_REPEATS_SECONDS} * interval '1 second')
    )
    returning u.id as "userId", coalesce(u.username, u.email) as name, u.role, s.refresh_hash as "refreshHash"
  `.execute(db);
  if (rotated.rows[0] !== undefined) return { status: "refreshed", sessionId, ...rotated.rows[0] };
  const reused = await sql<{ userId: number }>`
    select user_id as "userId" from sessions s
    where s.id = ${sessionId} and s.refresh_hash <> ${rotation.presented} and ${IS_LIVE}
  `.execute(db);
  if (reused.rows[0] !== undefined) return { status: "reused", sessionId, userId: reused.rows[0].userId };
  return { status: "unknown" };
}

/** Sessions revoked within the last `seconds`, by the database's clock. */
export async function recentRevocations(db: Db, seconds: number): Promise<readonly number[]> {
  const { rows } = await sql<{ id: number }>`
    select id from sessions where revoked_at > now() - ${seconds} * interval '1 second'
  `.execute(db);
  return rows.map((row) => row.id);
}
