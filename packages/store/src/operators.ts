import type { LoginKeys } from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";
import { announceChange, type EndpointsChanged, KEEP_LEASE, lockInbox, switchOff } from "./endpoints.ts";
import { endAllSessions, IS_LIVE } from "./sessions.ts";
import { userOfName } from "./users.ts";

/** An account, as an operator sees it. */
export interface AccountOfOperator {
  id: number;
  username: string | null;
  email: string | null;
  role: "user" | "admin";
  /** By which their requests are limited. */
  plan: string;
  suspendedAt: Date | null;
  createdAt: Date;
  /** Sessions that can be used. */
  sessions: number;
  /** Endpoints that are pushed to. */
  endpoints: number;
}

const ACCOUNT = sql`
  u.id, u.username, u.email, u.role, u.plan, u.suspended_at as "suspendedAt", u.created_at as "createdAt",
  (select count(*)::integer from sessions s where s.user_id = u.id and ${IS_LIVE}) as sessions,
  (select count(*)::integer from endpoints e join inboxes b on b.id = e.inbox_id where b.user_id = u.id and e.state = 'active') as endpoints
`;

/** Accounts by their ids, after one of them: up to `limit`; admins alone, or all. Locks nothing. */
export async function listAccounts(
  db: Db,
  { after, limit, onlyAdmins }: { after: number; limit: number; onlyAdmins: boolean },
): Promise<readonly AccountOfOperator[]> {
  const { rows } = await sql<AccountOfOperator>`
    select ${ACCOUNT} from users u where u.id > ${after} and (not ${onlyAdmins}::boolean or u.role = 'admin') order by u.id limit ${limit}
  `.execute(db);
  return rows;
}

/** The account of who signs in by a name; null where there is none. Locks nothing. */
export async function findAccountByName(db: Db, keys: LoginKeys): Promise<AccountOfOperator | null> {
  const { rows } = await sql<AccountOfOperator>`select ${ACCOUNT} from users u where u.id = ${userOfName(keys)}`.execute(db);
  return rows[0] ?? null;
}

const SUSPENDED = "the account is suspended";

/** Writes down what an operator did. `actor` is whoever did it: `command line`, or `user 17`. */
export async function noteAudit(tx: Db, actor: string, action: string, userId: number | null): Promise<void> {
  await sql`insert into audit_log (actor, action, user_id) values (${actor}, ${action}, ${userId})`.execute(tx);
}

/** Makes a user an admin, or none; false where there is no such user, or it was so. */
export async function setRole(db: Db, actor: string, userId: number, role: "user" | "admin"): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql`update users set role = ${role} where id = ${userId} and role <> ${role} returning id`.execute(tx);
    if (rows.length === 0) return false;
    await noteAudit(tx, actor, role === "admin" ? "admin.granted" : "admin.revoked", userId);
    return true;
  });
}

/** What a user's bots do by their tokens, and their incoming webhooks, ends with what the user does. */
async function endSessionsOfBots(tx: Db, owner: number): Promise<void> {
  await sql`
    update sessions set revoked_at = now()
    where user_id in (select id from users where owner_id = ${owner}) and revoked_at is null
  `.execute(tx);
}

/** Puts a user on another plan, by which their requests are limited; false where there is no such user, or it was so. */
export async function setPlan(db: Db, actor: string, userId: number, plan: string): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql`update users set plan = ${plan} where id = ${userId} and plan <> ${plan} returning id`.execute(tx);
    if (rows.length === 0) return false;
    await noteAudit(tx, actor, "user.plan_set", userId);
    return true;
  });
}

/**
 * Suspends a user: nobody signs in to the account, its sessions and API tokens end, and nothing is pushed to its
 * endpoints; what is sent to it waits. False where there is no such user, or it was so. Locks the inbox, then its
 * endpoints.
 */
export async function suspendUser(db: Db, actor: string, userId: number): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    const { rows } = await sql`
      update users set suspended_at = now() where id = ${userId} and suspended_at is null returning id
    `.execute(tx);
    if (inbox === null || rows.length === 0) return false;
    await endSessionsOfBots(tx, userId);
    await sql`update sessions set revoked_at = now() where user_id = ${userId} and revoked_at is null`.execute(tx);
    await sql`
      update endpoints e set ${switchOff(sql`case when kept_by = 'owner' then ${SUSPENDED} else 'signed out' end`)}
      where inbox_id = ${inbox.id} and state = 'active'
    `.execute(tx);
    await announceChange(tx, inbox.id);
    await noteAudit(tx, actor, "user.suspended", userId);
    return true;
  });
}

/**
 * Ends that: the user signs in anew, and what waits is pushed to the endpoints that were active, but for those of log-ins,
 * which begin again with a log-in. False where it was not so, or the account is being erased. Locks the inbox, then its endpoints.
 */
export async function restoreUser(db: Db, actor: string, userId: number): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    const { rows } = await sql`
      update users set suspended_at = null
      where id = ${userId} and suspended_at is not null and deleting_at is null returning id
    `.execute(tx);
    if (inbox === null || rows.length === 0) return false;
    await sql`
      update endpoints e set state = 'active', reason = null, ${KEEP_LEASE}, generation = generation + 1
      where inbox_id = ${inbox.id} and state = 'off' and reason = ${SUSPENDED}
    `.execute(tx);
    await announceChange(tx, inbox.id);
    await noteAudit(tx, actor, "user.restored", userId);
    return true;
  });
}

/** Ends all sessions and API tokens of a user; null where there is no such user. Locks the inbox, then its endpoints. */
export async function signOutUser(
  db: Db,
  actor: string,
  userId: number,
): Promise<{ ended: readonly number[]; changed: EndpointsChanged } | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    if (inbox === null) return null;
    await endSessionsOfBots(tx, userId);
    const ended = await endAllSessions(tx, userId, "signed out");
    await noteAudit(tx, actor, "user.signed_out", userId);
    return { ended, changed: await announceChange(tx, inbox.id) };
  });
}

/** Null where there is none. Locks nothing. */
export async function findAccountOfOperator(db: Db, id: number): Promise<AccountOfOperator | null> {
  const { rows } = await sql<AccountOfOperator>`select ${ACCOUNT} from users u where u.id = ${id}`.execute(db);
  return rows[0] ?? null;
}

/** An endpoint that fails, as an operator sees it. */
export interface FailingEndpoint {
  id: number;
  /** Null where it is that of an outside address. */
  userId: number | null;
  address: string;
  state: "active" | "off";
  reason: string | null;
  failures: number;
  failingSince: Date | null;
  behind: number;
  deadLetters: number;
}

const COUNTED_DEAD_LETTERS = 1_000;

/** Endpoints that fail, are off, or have dead letters, after one of them, by their ids: up to `limit`. Locks nothing. */
export async function listFailingEndpoints(
  db: Db,
  { after, limit }: { after: number; limit: number },
): Promise<readonly FailingEndpoint[]> {
  const { rows } = await sql<FailingEndpoint>`
    select e.id, b.user_id as "userId", e.address, e.state, e.reason, e.failures, e.failing_since as "failingSince",
      greatest(b.head - e.cursor, 0) as behind,
      (select count(*)::integer from (select from dead_letters d where d.endpoint_id = e.id limit ${COUNTED_DEAD_LETTERS}) few) as "deadLetters"
    from endpoints e join inboxes b on b.id = e.inbox_id
    where e.id > ${after} and (e.failures > 0 or e.state = 'off' or exists (select from dead_letters d where d.endpoint_id = e.id))
    order by e.id limit ${limit}
  `.execute(db);
  return rows;
}

/** Whose an endpoint is; null where it is nobody's. Locks nothing. */
export async function findOwner(db: Db, endpoint: number): Promise<number | null> {
  const { rows } = await sql<{ userId: number | null }>`
    select b.user_id as "userId" from endpoints e join inboxes b on b.id = e.inbox_id where e.id = ${endpoint}
  `.execute(db);
  return rows[0]?.userId ?? null;
}

/** What an operator did. */
export interface AuditEntry {
  at: Date;
  actor: string;
  action: string;
  userId: number | null;
}

/** The latest of it, the newest first. Locks nothing. */
export async function listAudit(db: Db, limit: number): Promise<readonly AuditEntry[]> {
  const { rows } = await sql<AuditEntry>`
    select at, actor, action, user_id as "userId" from audit_log order by id desc limit ${limit}
  `.execute(db);
  return rows;
}
