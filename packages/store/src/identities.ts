import { sql } from "kysely";
import type { Db } from "./database.ts";
import { lockInbox } from "./endpoints.ts";
import { createUser, NameTaken, type NewUser, NO_PASSWORD, type UniqueUserField } from "./users.ts";

/** An account at a provider: what it calls its users never changes (OpenID Connect Core 1.0, 5.7). */
export interface Subject {
  issuer: string;
  subject: string;
}

/** Who signs in by it. */
export interface IdentityHolder {
  userId: number;
  /** The user name, or the e-mail address of a user who has none. */
  name: string;
  role: "user" | "admin";
  isSuspended: boolean;
}

/** What a user signs in by. */
export interface IdentityRow {
  id: number;
  issuer: string;
  createdAt: Date;
  lastUsedAt: Date;
}

const ROW = sql`id, issuer, created_at as "createdAt", last_used_at as "lastUsedAt"`;
const MAX_IDENTITIES = 10;

/** Finds whose it is, and notes that it was used; null where it is nobody's. */
export async function useIdentity(db: Db, { issuer, subject }: Subject): Promise<IdentityHolder | null> {
  const { rows } = await sql<IdentityHolder>`
    update identities i set last_used_at = now() from users u where i.issuer = ${issuer} and i.subject = ${subject} and u.id = i.user_id
    returning u.id as "userId", coalesce(u.username, u.email) as name, u.role, u.suspended_at is not null as "isSuspended"
  `.execute(db);
  return rows[0] ?? null;
}

/** Makes a user who has no password, and signs in by it. `known` where somebody does meanwhile. */
export async function createUserOfIdentity(
  db: Db,
  user: Omit<NewUser, "passwordHash">,
  { issuer, subject }: Subject,
): Promise<{ id: number } | { taken: UniqueUserField } | "known"> {
  class Known extends Error {}
  try {
    return await db.transaction().execute(async (tx) => {
      const made = await createUser(tx, { ...user, passwordHash: NO_PASSWORD });
      if ("taken" in made) throw new NameTaken(made.taken);
      const { rows } = await sql`
        insert into identities (user_id, issuer, subject) values (${made.id}, ${issuer}, ${subject})
        on conflict do nothing returning id
      `.execute(tx);
      if (rows.length === 0) throw new Known();
      return made;
    });
  } catch (error) {
    if (error instanceof Known) return "known";
    if (error instanceof NameTaken) return { taken: error.field };
    throw error;
  }
}

/** Has a user sign in by it, too. Locks the user's inbox. */
export async function linkIdentity(
  db: Db,
  userId: number,
  { issuer, subject }: Subject,
): Promise<IdentityRow | "taken" | "full" | "gone"> {
  return db.transaction().execute(async (tx) => {
    if ((await lockInbox(tx, userId)) === null) return "gone";
    const { rows: own } = await sql`select from identities where user_id = ${userId}`.execute(tx);
    if (own.length >= MAX_IDENTITIES) return "full";
    const { rows } = await sql<IdentityRow>`
      insert into identities (user_id, issuer, subject) values (${userId}, ${issuer}, ${subject}) on conflict do nothing returning ${ROW}
    `.execute(tx);
    return rows[0] ?? "taken";
  });
}

/** What a user signs in by, the oldest first. Locks nothing. */
export async function listIdentities(db: Db, userId: number): Promise<readonly IdentityRow[]> {
  const { rows } = await sql<IdentityRow>`select ${ROW} from identities where user_id = ${userId} order by id`.execute(db);
  return rows;
}

/** `last` where a user who has no password would have nothing left to sign in by. Locks the user's inbox. */
export async function deleteIdentity(db: Db, userId: number, id: number): Promise<"deleted" | "last" | "unknown"> {
  return db.transaction().execute(async (tx) => {
    await lockInbox(tx, userId);
    const { rows } = await sql<{ isLast: boolean }>`
      select u.password_hash = ${NO_PASSWORD} and not exists (
        select from identities other where other.user_id = u.id and other.id <> i.id
      ) as "isLast"
      from identities i join users u on u.id = i.user_id where i.id = ${id} and i.user_id = ${userId}
    `.execute(tx);
    if (rows[0] === undefined) return "unknown";
    if (rows[0].isLast) return "last";
    await sql`delete from identities where id = ${id}`.execute(tx);
    return "deleted";
  });
}

/** Notes that a sign-in was ended, by a hash of what began it; false where it was before. */
export async function takeSignIn(db: Db, hash: Uint8Array): Promise<boolean> {
  const { rows } = await sql`insert into used_sign_ins (hash) values (${hash}) on conflict do nothing returning hash`.execute(db);
  return rows.length > 0;
}

/** What began an hour ago can be ended no more. */
export async function pruneSignIns(db: Db): Promise<void> {
  await sql`delete from used_sign_ins where at < now() - interval '1 hour'`.execute(db);
}
