import { sql } from "kysely";
import type { Db } from "./database.ts";
import { type EndpointsChanged, lockInbox } from "./endpoints.ts";
import { renewAddress } from "./notifications.ts";

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
  /** Of a browser's subscription, which needs no code: its keys, and the same for its endpoint. */
  subscription: { sealed: Uint8Array; sealSecret: (inbox: number) => Uint8Array } | null;
  /** Ends it, without signing in: sealed, and hashed. */
  token: { sealed: Uint8Array; hash: Uint8Array };
  /** So many a user may have. */
  most: number;
}

export type MadeContact =
  | { status: "made"; id: number; changed: EndpointsChanged | null }
  | { status: "no-account" }
  | { status: "taken" }
  | { status: "full" };

/** The user has a contact that is used, or none. The inbox is locked. */
async function markInbox(tx: Db, inbox: number): Promise<void> {
  await sql`
    update inboxes b set has_contacts = exists (select from contacts k where k.user_id = b.user_id and k.verified_at is not null)
    where id = ${inbox}
  `.execute(tx);
}

/**
 * Makes a contact. That of a browser which has subscribed before gets its new keys. Locks the user's inbox, and then
 * that of the address.
 */
export async function createContact(db: Db, made: NewContact): Promise<MadeContact> {
  const { userId, subscription, token } = made;
  return db.transaction().execute(async (tx): Promise<MadeContact> => {
    const inbox = await lockInbox(tx, userId);
    if (inbox === null) return { status: "no-account" };
    const { rows: known } = await sql<{ address: string }>`select address from contacts where user_id = ${userId}`.execute(tx);
    const isKnown = known.some(({ address }) => address === made.address);
    if (isKnown && subscription === null) return { status: "taken" };
    if (!isKnown && known.length >= made.most) return { status: "full" };
    const { rows } = await sql<{ id: number }>`
      insert into contacts (user_id, type, address, secret, verified_at, shows_content, language, delay_s, window_s, quiet_from,
        quiet_until, time_zone, token, token_hash)
      values (${userId}, ${made.type}, ${made.address}, ${subscription?.sealed ?? null}::bytea,
        case when ${subscription !== null}::boolean then now() end, ${made.showsContent}, ${made.language}, ${made.delayS},
        ${made.windowS}, ${made.quietFrom}, ${made.quietUntil}, ${made.timeZone}, ${token.sealed}, ${token.hash})
      on conflict (user_id, address) do update set secret = excluded.secret, verified_at = excluded.verified_at,
        shows_content = excluded.shows_content, language = excluded.language, delay_s = excluded.delay_s, window_s = excluded.window_s,
        quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until, time_zone = excluded.time_zone
      returning id
    `.execute(tx);
    const { id } = rows[0] as { id: number };
    if (subscription === null) return { status: "made", id, changed: null };
    await markInbox(tx, inbox.id);
    return { status: "made", id, changed: await renewAddress(tx, made.address, subscription.sealSecret) };
  });
}

const COLUMNS = sql`
  k.id, k.type, k.address, k.verified_at is not null as "isVerified", k.shows_content as "showsContent", k.language,
  k.delay_s as "delayS", k.window_s as "windowS", k.quiet_from as "quietFrom", k.quiet_until as "quietUntil",
  k.time_zone as "timeZone", k.created_at as "createdAt"
`;

/** A browser's subscription is no more once its push service has said so. */
const EXISTS = sql`(k.type <> 'push' or not exists (
  select from inboxes b join endpoints e on e.inbox_id = b.id where b.address = k.address and e.state = 'off'
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

/** Between two codes for one contact, and of a user, or to an address, in an hour. */
const CODE_PAUSE_S = 60;
const CODES_IN_AN_HOUR = 5;
const CODE_LASTS_MINUTES = 15;
const CODE_TRIES = 5;

/**
 * Keeps the code (sealed) that is being sent to a contact that is not verified, in the place of any before. Returns
 * false where too many were sent lately.
 */
export async function keepCode(db: Db, userId: number, id: number, code: Uint8Array): Promise<boolean> {
  const { rows } = await sql`
    update contacts k set code = ${code}, code_at = now(), code_tries = 0
    where id = ${id} and user_id = ${userId} and verified_at is null
      and coalesce(code_at, '-infinity') < now() - ${CODE_PAUSE_S} * interval '1 second'
      and ${CODES_IN_AN_HOUR} > (
        select count(*) from notifications n where n.user_id = ${userId} and n.purpose = 'code' and n.created_at > now() - interval '1 hour'
      )
      and ${CODES_IN_AN_HOUR} > (
        select count(*) from notifications n join inboxes b on b.id = n.inbox_id
        where b.address = k.address and n.purpose = 'code' and n.created_at > now() - interval '1 hour'
      )
    returning id
  `.execute(db);
  return rows.length > 0;
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
    const inbox = await lockInbox(tx, userId);
    if (inbox === null) return;
    await sql`
      update contacts set verified_at = now(), code = null where id = ${id} and user_id = ${userId} and verified_at is null
    `.execute(tx);
    await markInbox(tx, inbox.id);
  });
}

/** Ends a contact; false where there is none of this user. Locks the inbox. */
export async function deleteContact(db: Db, userId: number, id: number): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    if (inbox === null) return false;
    const { rows } = await sql`delete from contacts where id = ${id} and user_id = ${userId} returning id`.execute(tx);
    if (rows.length === 0) return false;
    await sql`delete from notices where contact_id = ${id}`.execute(tx);
    await markInbox(tx, inbox.id);
    return true;
  });
}

/** Whose contact a token ends; null where there is none any more. Locks nothing. */
export async function findContactByToken(db: Db, tokenHash: Uint8Array): Promise<{ userId: number; id: number } | null> {
  const { rows } = await sql<{ userId: number; id: number }>`
    select user_id as "userId", id from contacts where token_hash = ${tokenHash}
  `.execute(db);
  return rows[0] ?? null;
}

/** Erases the contacts of a user, who is being deleted. */
export async function eraseContacts(tx: Db, userId: number): Promise<void> {
  await sql`
    with gone as (delete from contacts where user_id = ${userId} returning id)
    delete from notices where contact_id in (select id from gone)
  `.execute(tx);
}
