import { sql } from "kysely";
import { IS_READABLE, UNREAD } from "./conversations.ts";
import type { Db } from "./database.ts";

/** What a contact is to be told of a conversation, with all that decides whether it is. */
export interface NoticeRow {
  contact: number;
  conversation: number;
  /** Messages that came since it was told last. */
  waiting: number;
  /** When the first of them did, and which is the last; null where none waits. */
  firstAt: Date | null;
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
  /** Whether the user takes part in the conversation, and has not muted it. */
  isWanted: boolean;
  /** Messages of others that the user has not read, up to 100. */
  unread: number;
  /** The last one of them; null where there is none. */
  last: { id: string; content: Uint8Array; who: string | null } | null;
  /** Sealed; null between two. */
  title: Uint8Array | null;
  /** Notices and codes to its address within a day. */
  sentToday: number;
}

/** A sender that took one and did not say what became of it has ended: it is due again then. */
const TAKEN_FOR_S = 60;

interface SelectedNotice extends Omit<NoticeRow, "last"> {
  lastId: string | null;
  lastContent: Uint8Array;
  lastWho: string | null;
}

/** Takes notices that are due, with what decides about them; those that somebody else locks are passed over. */
export async function takeNotices(db: Db, limit: number): Promise<readonly NoticeRow[]> {
  const { rows } = await sql<SelectedNotice>`
    with due as materialized (
      select contact_id, conversation_id from notices where due_at <= now() order by due_at limit ${limit} for update skip locked
    ),
    taken as (
      update notices n set due_at = now() + ${TAKEN_FOR_S} * interval '1 second' from due
      where n.contact_id = due.contact_id and n.conversation_id = due.conversation_id
      returning n.*
    )
    select n.contact_id as contact, n.conversation_id as conversation, n.waiting, n.first_at as "firstAt", n.message_id as "messageId",
      n.sent_at as "sentAt", n.notification_id as "notificationId",
      exists (
        select from notifications q join endpoints e on e.inbox_id = q.inbox_id
        where q.id = n.notification_id and q.seq > e.cursor and e.state = 'active'
      ) as "isUnderWay",
      k.user_id as "userId", k.type, k.address, k.secret, k.shows_content as "showsContent", k.language, k.window_s as "windowS",
      k.quiet_from as "quietFrom", k.quiet_until as "quietUntil", k.time_zone as "timeZone", k.token,
      p.user_id is not null and not p.muted as "isWanted", coalesce(${UNREAD}, 0) as unread,
      last.id as "lastId", last.content as "lastContent", coalesce(author.full_name, author.username) as "lastWho",
      c.title, (
        select count(*)::integer from notifications q join inboxes b on b.id = q.inbox_id
        where b.address = k.address and q.purpose <> 'sent' and q.created_at > now() - interval '1 day'
      ) as "sentToday"
    from taken n join contacts k on k.id = n.contact_id
      left join participants p on p.conversation_id = n.conversation_id and p.user_id = k.user_id
      left join conversations c on c.id = n.conversation_id
      left join lateral (
        select m.id, m.content, m.sender_id from messages m where ${IS_READABLE} and m.sender_id <> p.user_id
        order by m.created_at desc, m.id desc limit 1
      ) as last on true
      left join users author on author.id = last.sender_id
  `.execute(db);
  return rows.map(({ lastId, lastContent, lastWho, ...row }) => ({
    ...row,
    last: lastId === null ? null : { id: lastId, content: lastContent, who: lastWho },
  }));
}

/** What became of a notice that was taken. */
export interface SettledNotice {
  contact: number;
  conversation: number;
  /** As they were taken: what came since waits on. */
  waiting: number;
  messageId: string | null;
  /** The notification by which it was told; undefined where it was not. */
  notificationId: string | undefined;
  /** When to look again, in seconds from now; null for not before something comes. */
  againInS: number | null;
}

/** Says what became of a notice: what was taken waits no more. */
export async function settleNotice(db: Db, settled: SettledNotice): Promise<void> {
  const { contact, conversation, waiting, messageId, notificationId = null, againInS } = settled;
  const isNew = sql`(n.message_id is distinct from ${messageId}::uuid)`;
  await sql`
    update notices n set waiting = greatest(n.waiting - ${waiting}, 0),
      first_at = case when ${isNew} then now() end,
      sent_at = case when ${notificationId}::uuid is null then n.sent_at else now() end,
      notification_id = coalesce(${notificationId}::uuid, n.notification_id),
      due_at = case when ${isNew} then now() + k.delay_s * interval '1 second' else now() + ${againInS}::float8 * interval '1 second' end
    from contacts k where k.id = n.contact_id and n.contact_id = ${contact} and n.conversation_id = ${conversation}
  `.execute(db);
}

/** The user has read something: what is to be told of the conversation, or waits to be sent, is looked at again. */
export async function reconsiderNotices(tx: Db, userId: number, conversation: number): Promise<void> {
  await sql`
    update notices n set due_at = now() from contacts k
    where k.user_id = ${userId} and n.contact_id = k.id and n.conversation_id = ${conversation} and n.due_at is not null
  `.execute(tx);
}

/** Has a notice wait on, whatever comes meanwhile. */
export async function deferNotice(db: Db, contact: number, conversation: number, inS: number): Promise<void> {
  await sql`
    update notices set due_at = now() + ${inS}::float8 * interval '1 second'
    where contact_id = ${contact} and conversation_id = ${conversation}
  `.execute(db);
}

/** Notices and codes by a channel within a day, counted to `most`. */
export async function countNotices(db: Db, type: string, most: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::integer as count from (
      select from notifications where type = ${type} and purpose <> 'sent' and created_at > now() - interval '1 day' limit ${most}
    ) few
  `.execute(db);
  return rows[0]?.count ?? 0;
}

/** Forgets what was told long ago of conversations in which nothing has come since. */
export async function pruneNotices(db: Db): Promise<void> {
  await sql`delete from notices where due_at is null and coalesce(sent_at, '-infinity') < now() - interval '2 days'`.execute(db);
}
