import { sql } from "kysely";
import { EXISTS } from "./contacts.ts";
import { IS_READABLE, UNREAD } from "./conversations.ts";
import type { Db } from "./database.ts";
import { addNotification, type MadeNotification, type NewNotification, withdrawNotifications } from "./notifications.ts";

/** What a contact is to be told of a conversation, with all that decides whether it is. */
export interface NoticeRow {
  contact: number;
  conversation: number;
  /** Messages that came since it was told last, and the last of them; null where none waits. */
  waiting: number;
  messageId: string | null;
  /** When it was told last, and by which notification; null if never. */
  sentAt: Date | null;
  notificationId: string | null;
  /** That notification waits for its provider still. */
  isUnderWay: boolean;
  userId: number;
  type: string;
  address: string;
  /** Sealed: the keys of a browser's subscription. */
  secret: Uint8Array | null;
  showsContent: boolean;
  language: string;
  windowS: number;
  quietFrom: number | null;
  quietUntil: number | null;
  timeZone: string;
  /** Sealed. */
  token: Uint8Array;
  /** Whether the contact is there, and the user takes part in the conversation, and has not muted it. */
  isWanted: boolean;
  /** Messages of others that the user has not read, up to 100. */
  unread: number;
  /** The last message of others; null where there is none. */
  last: { id: string; content: Uint8Array; who: string | null; senderId: number; at: Date } | null;
  /** Sealed; null between two. */
  title: Uint8Array | null;
  /** Notices to its address within a day. */
  sentToday: number;
}

/** A sender that took one and did not say what became of it has ended: it is due again then. */
const TAKEN_FOR_S = 60;

interface SelectedNotice extends Omit<NoticeRow, "last"> {
  lastId: string | null;
  lastContent: Uint8Array;
  lastWho: string | null;
  lastSender: number;
  lastAt: Date;
}

/**
 * Takes notices that are due, with what decides about them; those that somebody else locks are passed over. `taken` is
 * how many: some may be of contacts that are no more, and go.
 */
export async function takeNotices(db: Db, limit: number): Promise<{ taken: number; notices: readonly NoticeRow[] }> {
  const { rows: taken } = await sql<{ contact: number; conversation: number }>`
    with due as materialized (
      select contact_id, conversation_id from notices where due_at <= now() order by due_at limit ${limit} for update skip locked
    )
    update notices n set due_at = now() + ${TAKEN_FOR_S} * interval '1 second' from due
    where n.contact_id = due.contact_id and n.conversation_id = due.conversation_id
    returning n.contact_id as contact, n.conversation_id as conversation
  `.execute(db);
  if (taken.length === 0) return { taken: 0, notices: [] };
  const contacts = taken.map(({ contact }) => contact);
  const { rows } = await sql<SelectedNotice>`
    select n.contact_id as contact, n.conversation_id as conversation, n.waiting, n.message_id as "messageId",
      n.sent_at as "sentAt", n.notification_id as "notificationId",
      exists (
        select from notifications q join endpoints e on e.inbox_id = q.inbox_id
        where q.id = n.notification_id and q.seq > e.cursor and e.state = 'active'
      ) as "isUnderWay",
      k.user_id as "userId", k.type, k.address, k.secret, k.shows_content as "showsContent", k.language, k.window_s as "windowS",
      k.quiet_from as "quietFrom", k.quiet_until as "quietUntil", k.time_zone as "timeZone", k.token,
      p.user_id is not null and not p.muted and ${EXISTS} as "isWanted", coalesce(${UNREAD}, 0) as unread,
      last.id as "lastId", last.content as "lastContent", last.created_at as "lastAt",
      case when author.deleting_at is null then coalesce(author.full_name, author.username) end as "lastWho", last.sender_id as "lastSender", c.title, (
        select count(*)::integer from notifications q join inboxes b on b.id = q.inbox_id
        where b.address = k.address and q.purpose = 'notice' and q.created_at > now() - interval '1 day'
      ) as "sentToday"
    from unnest(${contacts}::bigint[], ${taken.map(({ conversation }) => conversation)}::bigint[]) as due (contact_id, conversation_id)
      join notices n using (contact_id, conversation_id) join contacts k on k.id = n.contact_id
      left join participants p on p.conversation_id = n.conversation_id and p.user_id = k.user_id
      left join conversations c on c.id = n.conversation_id
      left join lateral (
        select m.id, m.content, m.sender_id, m.created_at from messages m where ${IS_READABLE} and m.sender_id <> p.user_id
        order by m.created_at desc, m.id desc limit 1
      ) as last on true
      left join users author on author.id = last.sender_id
  `.execute(db);
  // An append that waited for the inbox may have noted one for a contact that had gone meanwhile.
  await sql`
    delete from notices n where contact_id = any(${contacts}::bigint[]) and not exists (select from contacts k where k.id = n.contact_id)
  `.execute(db);
  const notices = rows.map(({ lastId, lastContent, lastWho, lastSender, lastAt, ...row }) => ({
    ...row,
    last: lastId === null ? null : { id: lastId, content: lastContent, who: lastWho, senderId: lastSender, at: lastAt },
  }));
  return { taken: taken.length, notices };
}

/** Which notice it is, as it was taken. */
export type TakenNotice = Pick<NoticeRow, "contact" | "conversation" | "waiting" | "messageId">;

/** What came since it was taken, waits on. */
async function settle(
  tx: Db,
  { contact, conversation, waiting, messageId }: TakenNotice,
  told: string | null,
  againInS: number | null,
): Promise<void> {
  const isNew = sql`(n.message_id is distinct from ${messageId}::uuid)`;
  await sql`
    update notices n set waiting = greatest(n.waiting - ${waiting}, 0),
      sent_at = case when ${told}::uuid is null then n.sent_at else now() end,
      notification_id = coalesce(${told}::uuid, n.notification_id),
      due_at = case when ${isNew} then now() + k.delay_s * interval '1 second' else now() + ${againInS}::float8 * interval '1 second' end
    from contacts k where k.id = n.contact_id and n.contact_id = ${contact} and n.conversation_id = ${conversation}
  `.execute(tx);
}

/**
 * Tells a contact, by a notification to its address: both, or nothing. It is looked after until its provider has taken
 * it, in `againInS`. `changed` where the contact is no more, another sender has told it meanwhile, or the author of the
 * message is being erased. Locks the contact, the notice, the author, and then the address's inbox and endpoint.
 */
export async function tellNotice(
  db: Db,
  notice: TakenNotice & Pick<NoticeRow, "notificationId">,
  made: NewNotification,
  againInS: number,
): Promise<MadeNotification | { status: "changed" }> {
  const { contact, conversation, notificationId } = notice;
  return db.transaction().execute(async (tx) => {
    const held = await sql`select from contacts k where id = ${contact} and ${EXISTS} for share`.execute(tx);
    const { rows } = await sql<{ isSame: boolean }>`
      select notification_id is not distinct from ${notificationId}::uuid and waiting >= ${notice.waiting} as "isSame"
      from notices where contact_id = ${contact} and conversation_id = ${conversation} for update
    `.execute(tx);
    if (held.rows.length === 0 || rows[0]?.isSame !== true) return { status: "changed" };
    // Names nobody whose erasure has begun since it was taken: then it is told later, without the name.
    const { aboutUserId } = made;
    const author = await sql`select from users where id = ${aboutUserId ?? null} and deleting_at is null for share`.execute(tx);
    if (aboutUserId !== undefined && author.rows.length === 0) return { status: "changed" };
    const told = await addNotification(tx, made);
    if (told.status === "made") await settle(tx, notice, made.id, againInS);
    return told;
  });
}

/** There is nothing to tell (any more). */
export function dropNotice(db: Db, notice: TakenNotice): Promise<void> {
  return settle(db, notice, null, null);
}

/** Has a notice wait on, whatever comes meanwhile. */
export async function deferNotice(db: Db, { contact, conversation }: TakenNotice, inS: number): Promise<void> {
  await sql`
    update notices set due_at = now() + ${inS}::float8 * interval '1 second'
    where contact_id = ${contact} and conversation_id = ${conversation}
  `.execute(db);
}

/**
 * Takes back what was told, as it waits for its provider still: it counts as not told, and is looked at again in so
 * many seconds.
 */
export async function withdrawNotice(
  db: Db,
  { contact, conversation }: TakenNotice,
  notificationId: string,
  inS: number,
): Promise<void> {
  await withdrawNotifications(db, [notificationId]);
  await sql`
    update notices set waiting = greatest(waiting, 1), sent_at = null, notification_id = null,
      due_at = now() + ${inS}::float8 * interval '1 second'
    where contact_id = ${contact} and conversation_id = ${conversation} and notification_id = ${notificationId}
      and not exists (select from notifications where id = ${notificationId})
  `.execute(db);
}

/** The user has read something: what is to be told of the conversation, or waits to be sent, is looked at again. */
export async function reconsiderNotices(tx: Db, userId: number, conversation: number): Promise<void> {
  await sql`
    update notices n set due_at = now() from contacts k
    where k.user_id = ${userId} and n.contact_id = k.id and n.conversation_id = ${conversation} and n.due_at is not null
  `.execute(tx);
}

/** A message of a conversation says something else now, or nothing: what waits to be sent may say it. */
export async function withdrawNoticesOf(tx: Db, conversation: number): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    select n.notification_id as id from participants p join contacts k on k.user_id = p.user_id
      join notices n on n.contact_id = k.id and n.conversation_id = p.conversation_id
    where p.conversation_id = ${conversation} and n.notification_id is not null and n.due_at is not null
  `.execute(tx);
  const ids = rows.map(({ id }) => id);
  await withdrawNotifications(tx, ids);
  await sql`
    update notices n set waiting = greatest(waiting, 1), sent_at = null, notification_id = null, due_at = now()
    where notification_id = any(${ids}::uuid[]) and contact_id in (
      select k.id from participants p join contacts k on k.user_id = p.user_id where p.conversation_id = ${conversation}
    ) and conversation_id = ${conversation} and not exists (select from notifications where id = n.notification_id)
  `.execute(tx);
}

/** Notices by a channel within a day, counted to `most`. */
export async function countNotices(db: Db, type: string, most: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::integer as count from (
      select from notifications
      where type = ${type} and purpose = 'notice' and created_at > now() - interval '1 day' limit ${most}
    ) few
  `.execute(db);
  return rows[0]?.count ?? 0;
}

const PRUNED_AT_ONCE = 1_000;

/** Forgets what was told long ago of conversations in which nothing has come since; a few at a time, as appends write them. */
export async function pruneNotices(db: Db): Promise<void> {
  for (;;) {
    const result = await sql`
      with old as materialized (
        select contact_id, conversation_id from notices
        where due_at is null and coalesce(sent_at, '-infinity') < now() - interval '2 days' limit ${PRUNED_AT_ONCE} for update skip locked
      )
      delete from notices n using old where n.contact_id = old.contact_id and n.conversation_id = old.conversation_id
    `.execute(db);
    if (Number(result.numAffectedRows ?? 0) < PRUNED_AT_ONCE) return;
  }
}
