import { sql } from "kysely";
import type { Db } from "./database.ts";

/** Begins to set up an authenticator, in the place of one that was not confirmed. False where there is one already. */
export async function beginTotp(db: Db, userId: number, secret: Uint8Array): Promise<boolean> {
  const { rows } = await sql`
    insert into totp as t (user_id, secret) select id, ${secret}::bytea from users where id = ${userId}
    on conflict (user_id) do update set secret = excluded.secret, last_step = 0 where t.confirmed_at is null
    returning user_id
  `.execute(db);
  return rows.length > 0;
}

/** The authenticator of a user. */
export interface TotpRow {
  /** Sealed. */
  secret: Uint8Array;
  isConfirmed: boolean;
}

/** Null where there is none. Locks nothing. */
export async function findTotp(db: Db, userId: number): Promise<TotpRow | null> {
  const { rows } = await sql<TotpRow>`
    select secret, confirmed_at is not null as "isConfirmed" from totp where user_id = ${userId}
  `.execute(db);
  return rows[0] ?? null;
}

/** Uses the code of a time step: false where it, or a later one, was used before. */
export async function takeTotpStep(db: Db, userId: number, step: number): Promise<boolean> {
  const { rows } = await sql`
    update totp set last_step = ${step} where user_id = ${userId} and last_step < ${step} returning user_id
  `.execute(db);
  return rows.length > 0;
}

/** Asks for codes from now on; these recovery codes, by their hashes, stand in for one. False where it did before. */
export async function confirmTotp(db: Db, userId: number, hashes: readonly Uint8Array[]): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql`
      update totp set confirmed_at = now() where user_id = ${userId} and confirmed_at is null returning user_id
    `.execute(tx);
    if (rows.length === 0) return false;
    await sql`delete from recovery_codes where user_id = ${userId}`.execute(tx);
    await sql`insert into recovery_codes (user_id, hash) select ${userId}, unnest(${hashes}::bytea[])`.execute(tx);
    return true;
  });
}

/** Uses a recovery code: false where it is none of the user's any more. */
export async function takeRecoveryCode(db: Db, userId: number, hash: Uint8Array): Promise<boolean> {
  const { rows } = await sql`
    delete from recovery_codes where user_id = ${userId} and hash = ${hash} returning user_id
  `.execute(db);
  return rows.length > 0;
}

/** Forgets those of users who are no more: a process of an older version, which knows nothing of them, may have deleted the account. */
export async function pruneSecondFactors(db: Db): Promise<void> {
  for (const table of ["totp", "recovery_codes"]) {
    await sql`delete from ${sql.table(table)} t where not exists (select from users u where u.id = t.user_id)`.execute(db);
  }
}

/** Asks for no codes any more, and forgets them. */
export async function deleteTotp(db: Db, userId: number): Promise<void> {
  await sql`with gone as (delete from totp where user_id = ${userId}) delete from recovery_codes where user_id = ${userId}`.execute(
    db,
  );
}
