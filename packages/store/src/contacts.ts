import { type RawBuilder, sql } from "kysely";
import type { Db } from "./database.ts";
import { lockUser } from "./inboxes.ts";
import {
  addNotification,
  eraseUnusedAddress,
  type MadeNotification,
  type NewNotification,
  withdrawNotifications,
} from "./notifications.ts";
import { IS_LIVE } from "./sessions.ts";

/** Where a user is told of messages that were not read. */
export interface ContactRow {
  id: number;
  type: string;
  /** As an endpoint has it: `mailto:ada@example.org`. */
  address: string;
  isVerified: boolean;
  showsContent: boolean;
  language: string;
  delayS: number;
  windowS: number;
  /** Minutes after midnight, in the time zone; null for none. */
  quietFrom: number | null;
  quietUntil: number | null;
  /** Of the IANA database. */
  timeZone: string;
  createdAt: Date;
}

export type ContactSettings = Pick<
  ContactRow,
  "showsContent" | "language" | "delayS" | "windowS" | "quietFrom" | "quietUntil" | "timeZone"
>;

export interface NewContact extends ContactSettings {
  userId: number;
  type: string;
  address: string;
  /** Of a browser, which needs no code. */
  subscription: {
    /** Its keys, sealed. */
    sealed: Uint8Array;
    /** Whether these are the keys that another contact of the address has. */
    isSame(of: { userId: number; sealed: Uint8Array }): boolean;
    /** In which it subscribed, and with which it ends. */
    sessionId: number;
  } | null;
  /** Ends it, without signing in: sealed, and hashed. */
  token: { sealed: Uint8Array; hash: Uint8Array };
  /** So many a user may have. */
  most: number;
}

export type MadeContact =
  /** `isNew` where there was none; `isRenewed` where the address needs its keys. */
  | { status: "made"; id: number; isNew: boolean; isRenewed: boolean }
  | { status: "no-account" }
  /** The user has it, or another one has this subscription by other keys. */
  | { status: "taken" }
  | { status: "full" };

/** The user has a contact that is used, or none. The inbox is locked. */
async function markInbox(tx: Db, inbox: number): Promise<void> {
  await sql`
    update inboxes b set has_contacts = exists (select from contacts k where k.user_id = b.user_id and k.verified_at is not null)
    where id = ${inbox}
  `.execute(tx);
}

/** Ends contacts: what waits to be sent there is withdrawn. Locks them. */
async function endContacts(tx: Db, ids: readonly number[]): Promise<void> {
  await sql`delete from contacts where id = any(${ids}::bigint[])`.execute(tx);
  const { rows } = await sql<{ id: string | null }>`
    delete from notices where contact_id = any(${ids}::bigint[]) returning notification_id as id
  `.execute(tx);
  await withdrawNotifications(
    tx,
    rows.flatMap((told) => told.id ?? []),
  );
}

/** Whoever does something to one of these (an address, codes by a channel) waits for the others. */
async function lockOne(tx: Db, what: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`contact ${what}`}, 0))`.execute(tx);
}

/**
 * Makes a contact. A browser is one user's: that of whoever signed in there last. One that subscribes again gets its
 * new keys, and keeps its settings. Locks the address, and the user's inbox.
 */
export async function createContact(db: Db, made: NewContact): Promise<MadeContact> {
  const { userId, address, subscription, token } = made;
  return db.transaction().execute(async (tx): Promise<MadeContact> => {
    await lockOne(tx, address);
    const inbox = await lockUser(tx, userId);
    if (inbox === null) return { status: "no-account" };
    const { rows: sameAddress } = await sql<{ id: number; userId: number; secret: Uint8Array | null }>`
      select id, user_id as "userId", secret from contacts where address = ${address}
    `.execute(tx);
    const own = sameAddress.find((one) => one.userId === userId);
    if (subscription !== null) {
      const others = sameAddress.filter((one) => one.userId !== userId);
      const isSame = others.every(
        (one) => one.secret !== null && subscription.isSame({ userId: one.userId, sealed: one.secret }),
      );
      if (!isSame) return { status: "taken" };
      await endContacts(
        tx,
        others.map(({ id }) => id),
      );
    } else if (own !== undefined) return { status: "taken" };
    const gone = await sql<{ id: number }>`
      select id from contacts k where user_id = ${userId} and address <> ${address} and not ${EXISTS}
    `.execute(tx);
    await endContacts(
      tx,
      gone.rows.map(({ id }) => id),
    );
    const { rows: counted } = await sql<{ count: number }>`
      select count(*)::integer as count from contacts where user_id = ${userId} and address <> ${address}
    `.execute(tx);
    if ((counted[0]?.count ?? 0) >= made.most) return { status: "full" };
    const { rows } = await sql<{ id: number; isActive: boolean }>`
      insert into contacts as k (user_id, type, address, secret, session_id, verified_at, shows_content, language, delay_s, window_s,
        quiet_from, quiet_until, time_zone, token, token_hash)
      values (${userId}, ${made.type}, ${address}, ${subscription?.sealed ?? null}::bytea, ${subscription?.sessionId ?? null}::bigint,
        case when ${subscription !== null}::boolean then now() end, ${made.showsContent}, ${made.language}, ${made.delayS},
        ${made.windowS}, ${made.quietFrom}, ${made.quietUntil}, ${made.timeZone}, ${token.sealed}, ${token.hash})
      on conflict (user_id, address) do update set secret = excluded.secret, session_id = excluded.session_id
      returning id, exists (
        select from inboxes b join endpoints e on e.inbox_id = b.id where b.address = k.address and e.state = 'active'
      ) as "isActive"
    `.execute(tx);
    const { id, isActive } = rows[0] as { id: number; isActive: boolean };
    await markInbox(tx, inbox);
    const keepsKeys = sameAddress.some(
      (one) => one.secret !== null && subscription?.isSame({ userId: one.userId, sealed: one.secret }) === true,
    );
    return { status: "made", id, isNew: own === undefined, isRenewed: subscription !== null && !(keepsKeys && isActive) };
  });
}

const COLUMNS = sql`
  k.id, k.type, k.address, k.verified_at is not null as "isVerified", k.shows_content as "showsContent", k.language,
  k.delay_s as "delayS", k.window_s as "windowS", k.quiet_from as "quietFrom", k.quiet_until as "quietUntil",
  k.time_zone as "timeZone", k.created_at as "createdAt"
`;

/**
 * A browser's subscription `k` is no more once its push service has said so, or the session has ended in which it was
 * made.
 */
export const EXISTS = sql`(k.type <> 'push' or (
  exists (select from sessions s where s.id = k.session_id and ${IS_LIVE})
  and not exists (select from inboxes b join endpoints e on e.inbox_id = b.id where b.address = k.address and e.state = 'off')
))`;

/** Contacts of a user, by their ids. Locks nothing. */
export async function listContacts(db: Db, userId: number): Promise<readonly ContactRow[]> {
  const { rows } = await sql<ContactRow>`
    select ${COLUMNS} from contacts k where k.user_id = ${userId} and ${EXISTS} order by k.id
  `.execute(db);
  return rows;
}

/** Null where there is none of this user. Locks nothing. */
export async function findContact(db: Db, userId: number, id: number): Promise<ContactRow | null> {
  const { rows } = await sql<ContactRow>`
    select ${COLUMNS} from contacts k where k.user_id = ${userId} and k.id = ${id} and ${EXISTS}
  `.execute(db);
  return rows[0] ?? null;
}

/** Changes what is given of a contact; false where there is none of this user. */
export async function changeContact(db: Db, userId: number, id: number, change: ContactSettings): Promise<boolean> {
  const { rows } = await sql`
    update contacts set shows_content = ${change.showsContent}, language = ${change.language}, delay_s = ${change.delayS},
      window_s = ${change.windowS}, quiet_from = ${change.quietFrom}, quiet_until = ${change.quietUntil}, time_zone = ${change.timeZone}
    where user_id = ${userId} and id = ${id} returning id
  `.execute(db);
  return rows.length > 0;
}

/** Between two codes for one contact. */
export const CODE_PAUSE_S = 60;
/** Of one user, and to one address. */
const CODES_IN_AN_HOUR = 5;
const CODES_TO_ADDRESS_IN_A_DAY = 10;
export const CODE_LASTS_MINUTES = 15;
export const CODE_TRIES = 5;

/** What a code is for: each counts by itself, so that nobody can use up, or learn of, the codes of another one. */
type CodePurpose = "code" | "reset";

/** Whether one more code may be sent for a user, and by a channel. */
export const isWithinCodeLimits = (
  purpose: CodePurpose,
  { userId, type, mostInADay }: { userId: number; type: RawBuilder<unknown>; mostInADay: number },
) => sql`(
  ${CODES_IN_AN_HOUR} > (
    select count(*) from notifications n where n.user_id = ${userId} and n.purpose = ${purpose} and n.created_at > now() - interval '1 hour'
  )
  and ${mostInADay} > (
    select count(*) from (
      select from notifications n
      where n.type = ${type} and n.purpose in ('code', 'reset') and n.created_at > now() - interval '1 day' limit ${mostInADay}
    ) few
  )
)`;

/** Whether one more code may be sent to an address. */
export const isWithinAddressLimits = (purpose: CodePurpose, address: RawBuilder<unknown>) => sql`exists (
  select from (
    select count(*) as today, count(*) filter (where n.created_at > now() - interval '1 hour') as lately
    from notifications n join inboxes b on b.id = n.inbox_id
    where b.address = ${address} and n.purpose = ${purpose} and n.created_at > now() - interval '1 day'
  ) sent where today < ${CODES_TO_ADDRESS_IN_A_DAY} and lately < ${CODES_IN_AN_HOUR}
)`;

/** Codes by one channel are sent one after the other. */
export const lockCodesBy = (tx: Db, type: string): Promise<void> => lockOne(tx, `codes by ${type}`);

/** A code on its way to a contact. */
export interface NewCode {
  userId: number;
  contact: number;
  /** Sealed. */
  code: Uint8Array;
  /** Codes by this channel in a day, at most. */
  mostInADay: number;
  notification: NewNotification;
}

/**
 * Sends a contact that is not verified its code, in the place of any before. Too many are those within a minute to one
 * contact, within an hour for one user, and within a day by one channel. Too many to one address are not sent (`unsent`), of
 * which only a log may tell: others may have asked for them. Codes by
 * one channel are sent one after the other. Locks the user's inbox, and then that of the address.
 */
export async function sendCode(
  db: Db,
  { userId, contact, code, mostInADay, notification }: NewCode,
): Promise<MadeNotification | { status: "too-many" | "unsent" }> {
  return db.transaction().execute(async (tx) => {
    await lockCodesBy(tx, notification.type);
    await lockUser(tx, userId);
    const { rows } = await sql<{ mayBeSent: boolean }>`
      update contacts k set code = ${code}, code_at = now(), code_tries = 0
      where id = ${contact} and user_id = ${userId} and verified_at is null
        and coalesce(code_at, '-infinity') < now() - ${CODE_PAUSE_S} * interval '1 second'
        and ${isWithinCodeLimits("code", { userId, type: sql`k.type`, mostInADay })}
      returning ${isWithinAddressLimits("code", sql`k.address`)} as "mayBeSent"
    `.execute(tx);
    if (rows[0] === undefined) return { status: "too-many" };
    return rows[0].mayBeSent ? addNotification(tx, notification) : { status: "unsent" };
  });
}

/** Takes one of the few tries that a code has. Returns it, sealed; null where there is none that is still good. */
export async function tryCode(db: Db, userId: number, id: number): Promise<Uint8Array | null> {
  const { rows } = await sql<{ code: Uint8Array }>`
    update contacts set code_tries = code_tries + 1
    where id = ${id} and user_id = ${userId} and verified_at is null and code is not null and code_tries < ${CODE_TRIES}
      and code_at > now() - ${CODE_LASTS_MINUTES} * interval '1 minute'
    returning code
  `.execute(db);
  return rows[0]?.code ?? null;
}

/** The user has shown that the contact's address is theirs. Locks the inbox. */
export async function verifyContact(db: Db, userId: number, id: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const inbox = await lockUser(tx, userId);
    if (inbox === null) return;
    await sql`
      update contacts set verified_at = now(), code = null where id = ${id} and user_id = ${userId} and verified_at is null
    `.execute(tx);
    await markInbox(tx, inbox);
  });
}

/**
 * Ends a contact, or (`onlyGone`) one that is no more: what waits to be sent there is withdrawn, and the address
 * forgotten. False where there is none of this user. Locks the inbox, then the contact.
 */
export async function deleteContact(db: Db, userId: number, id: number, { onlyGone = false } = {}): Promise<boolean> {
  const address = await db.transaction().execute(async (tx) => {
    const inbox = await lockUser(tx, userId);
    const { rows } = await sql<{ address: string }>`
      select address from contacts k where id = ${id} and user_id = ${userId} and (not ${onlyGone}::boolean or not ${EXISTS}) for update
    `.execute(tx);
    if (rows[0] === undefined) return undefined;
    await endContacts(tx, [id]);
    if (inbox !== null) await markInbox(tx, inbox);
    return rows[0].address;
  });
  if (address === undefined) return false;
  await eraseUnusedAddress(db, address);
  return true;
}

/** Whose contact a token ends; null where there is none any more. Locks nothing. */
export async function findContactByToken(db: Db, tokenHash: Uint8Array): Promise<{ userId: number; id: number } | null> {
  const { rows } = await sql<{ userId: number; id: number }>`
    select user_id as "userId", id from contacts where token_hash = ${tokenHash}
  `.execute(db);
  return rows[0] ?? null;
}

/** Ends all contacts of a user. */
export async function deleteContacts(db: Db, userId: number): Promise<void> {
  const { rows } = await sql<{ id: number }>`select id from contacts where user_id = ${userId}`.execute(db);
  for (const { id } of rows) await deleteContact(db, userId, id);
}

const PRUNED_AT_ONCE = 1_000;

/** Ends contacts of browsers that are no more, and of users who are. */
export async function pruneContacts(db: Db): Promise<void> {
  const { rows } = await sql<{ id: number; userId: number }>`
    select id, user_id as "userId" from contacts k
    where not ${EXISTS} or not exists (select from users u where u.id = k.user_id) limit ${PRUNED_AT_ONCE}
  `.execute(db);
  for (const { id, userId } of rows) await deleteContact(db, userId, id);
}
