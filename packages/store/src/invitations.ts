import { sql } from "kysely";
import type { Db } from "./database.ts";
import { noteAudit } from "./operators.ts";
import { insertUser, type NewUser, type UniqueUserField } from "./users.ts";

export interface InvitationRow {
  id: number;
  createdAt: Date;
  /** When it ends if nobody has used it. */
  expiresAt: Date;
  /** When an account was made by it; null where none was. */
  usedAt: Date | null;
}

const INVITATION = sql`id, created_at as "createdAt", expires_at as "expiresAt", used_at as "usedAt"`;
const KEPT_DAYS = 30;

/** Makes an invitation, which is kept as its hash alone. */
export async function createInvitation(db: Db, actor: string, hash: Uint8Array, days: number): Promise<InvitationRow> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<InvitationRow>`
      insert into invitations (hash, expires_at) values (${hash}, now() + ${days} * interval '1 day') returning ${INVITATION}
    `.execute(tx);
    const [made] = rows as [InvitationRow];
    await noteAudit(tx, actor, `invitation.made ${made.id}`, null);
    return made;
  });
}

/** By their ids. Locks nothing. */
export async function listInvitations(
  db: Db,
  { after, limit }: { after: number; limit: number },
): Promise<readonly InvitationRow[]> {
  const { rows } = await sql<InvitationRow>`
    select ${INVITATION} from invitations where id > ${after} order by id limit ${limit}
  `.execute(db);
  return rows;
}

/** Ends an invitation; false where there is none. */
export async function deleteInvitation(db: Db, actor: string, id: number): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql`delete from invitations where id = ${id} returning id`.execute(tx);
    if (rows.length > 0) await noteAudit(tx, actor, `invitation.deleted ${id}`, null);
    return rows.length > 0;
  });
}

const isGood = (hash: Uint8Array) => sql`hash = ${hash} and used_at is null and expires_at > now()`;

/** Whether an account can be made by it now; `createInvitedUser` checks again. Locks nothing. */
export async function findInvitation(db: Db, hash: Uint8Array): Promise<boolean> {
  const { rows } = await sql`select from invitations where ${isGood(hash)}`.execute(db);
  return rows.length > 0;
}

/** As `createUser`, and uses up an invitation; null where that is not good any more. */
export function createInvitedUser(
  db: Db,
  user: NewUser,
  hash: Uint8Array,
): Promise<{ id: number } | { taken: UniqueUserField } | null> {
  const used = sql`used as (update invitations set used_at = now() where ${isGood(hash)} returning id),`;
  return insertUser(db, user, used, sql`from used`);
}

/** Forgets invitations that were used, or have ended, a month ago. */
export async function pruneInvitations(db: Db): Promise<void> {
  await sql`
    delete from invitations where least(used_at, expires_at) < now() - ${KEPT_DAYS} * interval '1 day'
  `.execute(db);
}
