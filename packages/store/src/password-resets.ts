import type { LoginKeys } from "@messenger/core";
import { sql } from "kysely";
import {
  CODE_LASTS_MINUTES,
  CODE_PAUSE_S,
  CODE_TRIES,
  isWithinAddressLimits,
  isWithinCodeLimits,
  lockCodesBy,
} from "./contacts.ts";
import type { Db } from "./database.ts";
import { announceChange, type EndpointsChanged, lockInbox } from "./endpoints.ts";
import { addNotification, type MadeNotification, type NewNotification } from "./notifications.ts";
import { endDeviceSessions } from "./sessions.ts";
import { userOfName } from "./users.ts";

/** Where somebody who forgot their password is sent a code. */
export interface ResetContact {
  userId: number;
  type: string;
  address: string;
  language: string;
}

/** The verified e-mail address, or else phone, of who is known by a name; null where there is none. Locks nothing. */
export async function findResetContact(db: Db, keys: LoginKeys): Promise<ResetContact | null> {
  const { rows } = await sql<ResetContact>`
    select user_id as "userId", type, address, language from contacts
    where user_id = ${userOfName(keys)} and type in ('email', 'sms') and verified_at is not null
    order by type, id limit 1
  `.execute(db);
  return rows[0] ?? null;
}

/** Sends a code, in the place of any before; within the limits that codes have. Locks the inbox of the address. */
export async function sendResetCode(
  db: Db,
  {
    userId,
    code,
    mostInADay,
    notification,
  }: { userId: number; code: Uint8Array; mostInADay: number; notification: NewNotification },
): Promise<MadeNotification | { status: "too-many" }> {
  return db.transaction().execute(async (tx) => {
    await lockCodesBy(tx, notification.type);
    const { type, address } = notification;
    const ofUser = isWithinCodeLimits("reset", { userId, type: sql`${type}`, mostInADay });
    const limits = sql`${ofUser} and ${isWithinAddressLimits("reset", sql`${address}`)}`;
    const { rows } = await sql`
      insert into password_resets as r (user_id, code) select ${userId}, ${code}::bytea where ${limits}
      on conflict (user_id) do update set code = excluded.code, code_at = now(), tries = 0
        where r.code_at < now() - ${CODE_PAUSE_S} * interval '1 second'
      returning user_id
    `.execute(tx);
    return rows.length === 0 ? { status: "too-many" } : addNotification(tx, notification);
  });
}

/** Takes one of the few tries that a code has. Returns it, sealed; null where there is none that is still good. */
export async function tryResetCode(db: Db, keys: LoginKeys): Promise<{ userId: number; code: Uint8Array } | null> {
  const { rows } = await sql<{ userId: number; code: Uint8Array }>`
    update password_resets set tries = tries + 1
    where user_id = ${userOfName(keys)} and tries < ${CODE_TRIES} and code_at > now() - ${CODE_LASTS_MINUTES} * interval '1 minute'
    returning user_id as "userId", code
  `.execute(db);
  return rows[0] ?? null;
}

/**
 * Gives a user another password, and ends all their sessions; the code is of no more use. Null where it was used
 * meanwhile. Locks the inbox, then its endpoints.
 */
export async function resetPassword(
  db: Db,
  userId: number,
  { code, passwordHash }: { code: Uint8Array; passwordHash: string },
): Promise<{ ended: readonly number[]; changed: EndpointsChanged } | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    const { rows } =
      await sql`delete from password_resets where user_id = ${userId} and code = ${code} returning user_id`.execute(tx);
    if (inbox === null || rows.length === 0) return null;
    await sql`update users set password_hash = ${passwordHash} where id = ${userId}`.execute(tx);
    const ended = await endDeviceSessions(tx, userId, null);
    return { ended, changed: await announceChange(tx, inbox.id) };
  });
}

/** Forgets codes that are too old. */
export async function pruneResets(db: Db): Promise<void> {
  await sql`delete from password_resets where code_at < now() - interval '1 day'`.execute(db);
}
