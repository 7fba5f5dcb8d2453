import type { LoginKeys } from "@messenger/core";
import { type RawBuilder, sql } from "kysely";
import type { AppendedEvents } from "./append-events.ts";
import type { Db } from "./database.ts";
import { deleteContacts } from "./contacts.ts";
import { deleteSome } from "./delete-some.ts";
import { eraseNotifications } from "./notifications.ts";
import { constraintOf } from "./errors.ts";
import { type GroupEvent, leaveGroups } from "./groups.ts";

export interface NewUser {
  username: string | null;
  usernameKey: string | null;
  phoneNumber: string | null;
  phoneKey: string | null;
  email: string | null;
  emailKey: string | null;
  fullName: string | null;
  /** argon2id, in its PHC string form; or `NO_PASSWORD`. */
  passwordHash: string;
}

/** In the place of the hash of the password of an account that has none. */
export const NO_PASSWORD = "-";

/** What can be taken by somebody else. */
export type UniqueUserField = "username" | "phone_number" | "email";

const FIELD_OF_CONSTRAINT: Record<string, UniqueUserField> = {
  users_username_key_key: "username",
  users_phone_key_key: "phone_number",
  users_email_key_key: "email",
};

/** Ends a transaction in which a user could not be made: what comes after that in it would be refused. */
export class NameTaken extends Error {
  override readonly name = "NameTaken";
  readonly field: UniqueUserField;
  constructor(field: UniqueUserField) {
    super(`the ${field} is taken`);
    this.field = field;
  }
}

/** Makes a user and their inbox. Returns the id, or which name is taken. */
export async function createUser(db: Db, user: NewUser): Promise<{ id: number } | { taken: UniqueUserField }> {
  const made = await insertUser(db, user, sql``, sql`where true`);
  if (made === null) throw new Error("a user was not made"); // there is no condition
  return made;
}

/**
 * Inserts the user only if `condition` (a `from` or `where` clause) yields a row. `before` is a query of the `with` clause that
 * the condition may use, with a comma after it. Null where it yields none.
 */
export async function insertUser(
  db: Db,
  user: NewUser,
  before: RawBuilder<unknown>,
  condition: RawBuilder<unknown>,
): Promise<{ id: number } | { taken: UniqueUserField } | null> {
  try {
    const { rows } = await sql<{ id: number }>`
      with ${before} made as (
        insert into users (username, username_key, phone_number, phone_key, email, email_key, full_name, password_hash)
        select ${user.username}, ${user.usernameKey}, ${user.phoneNumber}, ${user.phoneKey},
          ${user.email}, ${user.emailKey}, ${user.fullName}, ${user.passwordHash} ${condition}
        returning id
      ),
      boxed as (insert into inboxes (user_id) select id from made)
      select id from made
    `.execute(db);
    return rows[0] ?? null;
  } catch (error) {
    const taken = FIELD_OF_CONSTRAINT[constraintOf(error) ?? ""];
    if (taken === undefined) throw error;
    return { taken };
  }
}

export interface Credentials {
  id: number;
  /** What others know the user by: the user name, or the e-mail address of one who has none. */
  name: string;
  role: "user" | "admin";
  passwordHash: string;
  isSuspended: boolean;
}

/** The id of who is known by a name: a user name comes before an e-mail address, and that before a phone number. */
export const userOfName = ({ usernameKey, emailKey, phoneKey }: LoginKeys) => sql<number>`(
  select n.user_id from names n where n.key in (${usernameKey}, ${emailKey}, ${phoneKey})
  order by (n.key is not distinct from ${usernameKey}) desc, (n.key is not distinct from ${emailKey}) desc limit 1
)`;

/** Finds who signs in: a user name, an e-mail address and a phone number are each one person's. */
export async function findCredentials(db: Db, keys: LoginKeys): Promise<Credentials | null> {
  const { rows } = await sql<Credentials>`
    select u.id, coalesce(u.username, u.email) as name, u.role, u.password_hash as "passwordHash",
      u.suspended_at is not null as "isSuspended"
    from users u where u.id = ${userOfName(keys)}
  `.execute(db);
  return rows[0] ?? null;
}

/** Null where there is no such user. */
export async function findPasswordHash(db: Db, userId: number): Promise<string | null> {
  const { rows } = await sql<{ hash: string }>`select password_hash as hash from users where id = ${userId}`.execute(db);
  return rows[0]?.hash ?? null;
}

/** Which of these names is taken; undefined where none is, for now. */
export async function findTaken(db: Db, user: Omit<NewUser, "passwordHash">): Promise<UniqueUserField | undefined> {
  const keys = [user.usernameKey, user.phoneKey, user.emailKey];
  const { rows } = await sql<{ key: string }>`
    select key from names where key = any(${keys.filter((key) => key !== null)}::text[])
  `.execute(db);
  const fields: readonly UniqueUserField[] = ["username", "phone_number", "email"];
  return fields.find((_, n) => rows.some(({ key }) => key === keys[n]));
}

export async function findRole(db: Db, userId: number): Promise<"user" | "admin" | null> {
  const { rows } = await sql<{ role: "user" | "admin" }>`select role from users where id = ${userId}`.execute(db);
  return rows[0]?.role ?? null;
}

export interface PublicUser {
  id: number;
  username: string;
  fullName: string | null;
  about: string | null;
  isBot: boolean;
  /** Of the newest session that has one, revoked or not. */
  publicKey: string | null;
}

export async function findUserByName(db: Db, usernameKey: string): Promise<PublicUser | null> {
  const { rows } = await sql<PublicUser>`
    select u.id, u.username, u.full_name as "fullName", u.about, u.owner_id is not null as "isBot", (
      select s.public_key from sessions s where s.user_id = u.id and s.public_key is not null order by s.id desc limit 1
    ) as "publicKey"
    from users u where u.username_key = ${usernameKey}
  `.execute(db);
  return rows[0] ?? null;
}

/** What is known of a user, for that user. */
export interface AccountRow {
  id: number;
  username: string | null;
  email: string | null;
  phoneNumber: string | null;
  fullName: string | null;
  /** What the user says of themselves. */
  about: string | null;
  /** Whether a search for the e-mail address, or the phone number, finds the user. */
  foundByEmail: boolean;
  foundByPhone: boolean;
  /** Whether others are told how far the user has read, when the user types, and whether the user is there. */
  receipts: boolean;
  typing: boolean;
  presence: boolean;
  /** Whether the user is asked before messages of strangers arrive. */
  messageRequests: boolean;
  /** Whether log-ins need a code. */
  hasTotp: boolean;
  createdAt: Date;
}

/** Changes what is given of an account, and reads it; null where there is no such user. */
export async function changeAccount(
  db: Db,
  userId: number,
  given: {
    fullName?: string | undefined;
    about?: string | undefined;
    foundByEmail?: boolean | undefined;
    foundByPhone?: boolean | undefined;
    receipts?: boolean | undefined;
    typing?: boolean | undefined;
    presence?: boolean | undefined;
  },
): Promise<AccountRow | null> {
  const { rows } = await sql<AccountRow>`
    update users set full_name = coalesce(${given.fullName ?? null}, full_name), about = nullif(coalesce(${given.about ?? null}, about), ''),
      found_by_email = coalesce(${given.foundByEmail ?? null}, found_by_email), found_by_phone = coalesce(${given.foundByPhone ?? null}, found_by_phone),
      receipts = coalesce(${given.receipts ?? null}, receipts),
      typing = coalesce(${given.typing ?? null}, typing), presence = coalesce(${given.presence ?? null}, presence)
    where id = ${userId}
    returning ${ACCOUNT_COLUMNS}
  `.execute(db);
  return rows[0] ?? null;
}

/** Has a user sign in by an address that they have shown to be theirs, unless there is one already, or another user's. */
export async function claimSignIn(
  db: Db,
  userId: number,
  field: "email" | "phone_number",
  given: { value: string; key: string },
): Promise<void> {
  const account = await findAccount(db, userId);
  if (account === null || (field === "email" ? account.email : account.phoneNumber) !== null) return;
  await changeSignIn(db, userId, field, given);
}

/**
 * Gives a user another e-mail address, or phone number, to sign in by; null takes it away. `no-name` where nothing would be
 * left that others know the user by. Locks the user.
 */
export async function changeSignIn(
  db: Db,
  userId: number,
  field: "email" | "phone_number",
  given: { value: string; key: string } | null,
): Promise<AccountRow | { taken: UniqueUserField } | "no-name" | null> {
  const key = field === "email" ? sql`email_key` : sql`phone_key`;
  const keeps = field === "email" && given === null ? sql`and username is not null` : sql``;
  try {
    const { rows } = await sql<AccountRow>`
      update users set ${sql.ref(field)} = ${given?.value ?? null}, ${key} = ${given?.key ?? null}
      where id = ${userId} ${keeps} returning ${ACCOUNT_COLUMNS}
    `.execute(db);
    if (rows[0] !== undefined) return rows[0];
    return (await findAccount(db, userId)) === null ? null : "no-name";
  } catch (error) {
    const taken = FIELD_OF_CONSTRAINT[constraintOf(error) ?? ""];
    if (taken === undefined) throw error;
    return { taken };
  }
}

/** Null where there is no such user. */
export async function findAccount(db: Db, userId: number): Promise<AccountRow | null> {
  const { rows } = await sql<AccountRow>`select ${ACCOUNT_COLUMNS} from users where id = ${userId}`.execute(db);
  return rows[0] ?? null;
}

const ACCOUNT_COLUMNS = sql`
  id, username, email, phone_number as "phoneNumber", full_name as "fullName", about, found_by_email as "foundByEmail",
  found_by_phone as "foundByPhone", receipts, typing, presence, created_at as "createdAt",
  exists (select from totp where totp.user_id = users.id and confirmed_at is not null) as "hasTotp",
  (select screens from inboxes where inboxes.user_id = users.id) as "messageRequests"
`;

/** What an account has that is erased with it. */
export interface ErasableCounts {
  sessions: number;
  api_tokens: number;
  endpoints: number;
  contacts: number;
  notifications: number;
  events: number;
  groups: number;
}

/** Counts what erasing an account erases. Locks nothing. */
export async function countErasable(db: Db, userId: number): Promise<ErasableCounts> {
  const { rows } = await sql<ErasableCounts>`
    select
      (select count(*)::integer from sessions where user_id = ${userId} and token_hash is null) as sessions,
      (select count(*)::integer from sessions where user_id = ${userId} and token_hash is not null) as api_tokens,
      (select count(*)::integer from endpoints e join inboxes b on b.id = e.inbox_id where b.user_id = ${userId}) as endpoints,
      (select count(*)::integer from contacts where user_id = ${userId}) as contacts,
      (select count(*)::integer from notifications where user_id = ${userId}) as notifications,
      (select head from inboxes where user_id = ${userId}) as events,
      (select count(*)::integer from participants where user_id = ${userId} and role is not null) as groups
  `.execute(db);
  return rows[0] as ErasableCounts;
}

/** What became of a deletion: the groups that the user was in are told; false where there is no such user. */
export interface DeletedUser {
  isDeleted: boolean;
  told: readonly AppendedEvents[];
}

/** Groups that the user joined while leaving others: so often it is looked whether there are any. */
const LEAVES = 10;

/**
 * Deletes a user: the account, its sessions, its inbox with all events, and its endpoints. What the user sent
 * stays with those who received it, and reactions stay as nobody's.
 *
 * First its sessions end, what it sent to outside addresses is erased, and the user leaves all groups. Then, in a short transaction, the account ends: it locks
 * the inbox, then its endpoints, by id; an append that is under way ends before, and a later one finds no
 * receiver. The sessions stay, without their data, so that every replica learns that they are revoked. What is
 * left is then erased bit by bit, holding nobody up; should that break off, `prune` goes on with it.
 */
export async function deleteUser(
  db: Db,
  userId: number,
  eventOf: (newOwner: number | undefined) => GroupEvent,
): Promise<DeletedUser> {
  await sql`update sessions set revoked_at = now() where user_id = ${userId} and revoked_at is null`.execute(db);
  await deleteContacts(db, userId);
  await eraseNotifications(db, userId);
  const told: AppendedEvents[] = [];
  for (let tries = 1; ; tries += 1) {
    told.push(...(await leaveGroups(db, userId, eventOf)));
    const inbox = await db.transaction().execute((tx) => endAccount(tx, userId));
    if (inbox === "member" && tries < LEAVES) continue;
    if (inbox === "member") throw new Error("the user joins groups faster than they are left");
    if (inbox === null) return { isDeleted: false, told };
    await eraseInbox(db, inbox);
    await eraseDeletedAccounts(db); // and the outside addresses that nobody else has sent to
    return { isDeleted: true, told };
  }
}

/** Returns the inbox; null where there is no such user, and `member` where the user is a member of a group. */
async function endAccount(tx: Db, userId: number): Promise<number | "member" | null> {
  const { rows } = await sql<{ id: number }>`select id from inboxes where user_id = ${userId} for update`.execute(tx);
  const inbox = rows[0]?.id;
  if (inbox === undefined) return null;
  // Nobody is made a member while the inbox is locked.
  const groups = await sql`
    select from participants p join conversations c on c.id = p.conversation_id and c.low_user_id is null
    where p.user_id = ${userId} limit 1
  `.execute(tx);
  if (groups.rows.length > 0) return "member";
  await sql`select id from endpoints where inbox_id = ${inbox} order by id for update`.execute(tx);
  await sql`
    update endpoints set state = 'off', reason = 'the account was deleted', retry_at = null, lease_by = null, generation = generation + 1
    where inbox_id = ${inbox}
  `.execute(tx);
  await sql`
    update sessions set revoked_at = coalesce(revoked_at, now()), user_id = null, public_key = null, device_name = null,
      refresh_hash = null, endpoint_id = null, token_hash = null, scopes = null
    where user_id = ${userId}
  `.execute(tx);
  await sql`
    update inboxes set user_id = null, address = ${ERASED_SCHEME} || id, version = version + 1 where id = ${inbox}
  `.execute(tx);
  await sql`delete from participants where user_id = ${userId}`.execute(tx);
  // Each is nobody's from now on: whoever follows has counted it.
  await sql`
    update reactions set user_id = -nextval(pg_get_serial_sequence('users', 'id')) where user_id = ${userId}
  `.execute(tx);
  await sql`delete from bans where user_id = ${userId}`.execute(tx);
  for (const table of ["totp", "recovery_codes", "password_resets", "identities", "left_groups"]) {
    await sql`delete from ${sql.table(table)} where user_id = ${userId}`.execute(tx);
  }
  await sql`delete from blocks where user_id = ${userId} or blocked_id = ${userId}`.execute(tx);
  await sql`delete from reports where reporter_id = ${userId}`.execute(tx);
  await sql`delete from users where id = ${userId}`.execute(tx);
  return inbox;
}

/** The address of an inbox that is being erased; nothing can be sent there. */
const ERASED_SCHEME = "erased:";

async function eraseInbox(db: Db, inbox: number): Promise<void> {
  const endpoints = sql`(select id from endpoints where inbox_id = ${inbox})`;
  await deleteSome(db, "attempts", sql`endpoint_id in ${endpoints}`);
  await sql`delete from dead_letters where endpoint_id in ${endpoints}`.execute(db);
  await sql`delete from probes where endpoint_id in ${endpoints}`.execute(db);
  await deleteSome(db, "events", sql`inbox_id = ${inbox}`);
  await sql`delete from endpoints where inbox_id = ${inbox}`.execute(db);
  await sql`delete from inboxes where id = ${inbox} and address like ${`${ERASED_SCHEME}%`}`.execute(db);
}

/** Goes on with accounts whose erasure broke off. */
export async function eraseDeletedAccounts(db: Db): Promise<void> {
  const { rows } = await sql<{ id: number }>`select id from inboxes where address like 'erased:%' limit 100`.execute(db);
  for (const { id } of rows) await eraseInbox(db, id);
}
