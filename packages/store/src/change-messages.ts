import type { PlainEvent } from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";
import { incarnation } from "./incarnation.ts";

/** Events that are in the log now, without contents, and the outbox row that covers them; null where there are none. */
export interface AppendedEvents {
  events: readonly Omit<PlainEvent, "content" | "sealed">[];
  outboxId: number | null;
}

/** An event for all participants of a conversation. */
interface Announcement {
  kind: string;
  /** A uuid v7. */
  eventId: string;
  messageId: string;
  messageVersion: number;
  conversation: number;
  /** Sealed under the event's id. */
  data: Uint8Array | null;
}

/** Locks the inboxes of all participants of a conversation, by id, so that nothing is appended to them meanwhile. */
async function lockInboxes(tx: Db, conversation: number): Promise<readonly number[]> {
  const { rows } = await sql<{ id: number }>`
    select b.id from inboxes b join participants p on p.user_id = b.user_id
    where p.conversation_id = ${conversation} order by b.id for no key update of b
  `.execute(tx);
  return rows.map(({ id }) => id);
}

/** Appends an event to inboxes that are locked. */
async function announce(tx: Db, inboxes: readonly number[], announcement: Announcement): Promise<AppendedEvents> {
  const { kind, eventId, messageId, messageVersion, conversation, data } = announcement;
  const { rows } = await sql<{ inbox: number; seq: number; version: number; at: Date; outbox: number }>`
    with moved as (
      update inboxes set head = head + 1 where id = any(${inboxes}::bigint[])
      returning id as inbox, head as seq, version + ${incarnation} as version
    ),
    logged as (
      insert into events (inbox_id, seq, id, kind, message_id, message_version, data)
      select inbox, seq, ${eventId}::uuid, ${kind}::text, ${messageId}::uuid, ${messageVersion}::integer, ${data}::bytea from moved
    ),
    covered as (
      insert into outbox (inbox_ids) select array_agg(inbox) from moved having count(*) > 0 returning id
    )
    select moved.*, covered.id as outbox, now() as at from moved cross join covered order by inbox
  `.execute(tx);
  const events = rows.map(({ inbox, seq, version, at }) => ({
    inbox,
    seq,
    version,
    id: eventId,
    kind,
    messageId,
    conversation,
    createdAt: at.toISOString(),
  }));
  return { events, outboxId: rows[0]?.outbox ?? null };
}

export interface MessageChange {
  messageId: string;
  /** Whose message it must be. */
  senderId: number;
  eventId: string;
}

interface LockedMessage {
  conversation: number;
  senderId: number;
  version: number;
  content: Uint8Array | null;
}

/** What became of a change: `no-message` where the user takes no part in its conversation; `not-own` where somebody else sent it. */
export type ChangeResult<Changed> =
  { status: "changed"; change: Changed & AppendedEvents } | { status: "no-message" | "not-own" };

/** Locks the inboxes of a message's conversation, then the message. */
function changeMessage<Changed>(
  db: Db,
  { messageId, senderId }: MessageChange,
  change: (tx: Db, message: LockedMessage, inboxes: readonly number[]) => Promise<Changed & AppendedEvents>,
): Promise<ChangeResult<Changed>> {
  return db.transaction().execute(async (tx) => {
    const found = await sql<{ conversation: number }>`
      select m.conversation_id as conversation
      from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${senderId}
      where m.id = ${messageId}
    `.execute(tx);
    const conversation = found.rows[0]?.conversation;
    if (conversation === undefined) return { status: "no-message" };
    const inboxes = await lockInboxes(tx, conversation);
    // Again, as the account may have been deleted meanwhile.
    const { rows } = await sql<LockedMessage>`
      select m.conversation_id as conversation, m.sender_id as "senderId", m.version, m.content
      from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${senderId}
      where m.id = ${messageId} for update of m
    `.execute(tx);
    const [message] = rows;
    if (message === undefined) return { status: "no-message" };
    if (message.senderId !== senderId) return { status: message.content === null ? "no-message" : "not-own" };
    return { status: "changed", change: await change(tx, message, inboxes) };
  });
}

/** Beyond so many, a message cannot be edited any more: all its versions are kept. */
export const MAX_VERSIONS = 100;

/**
 * Gives a message another content, and keeps the one before; where `isSame` says so of the one before, nothing changes. Null for `version` where it has as many
 * versions as it may, or was deleted (then `isDeleted`). Locks the inboxes of those who take part, by id, then the message.
 */
export function editMessage(
  db: Db,
  change: MessageChange & { content: Uint8Array; isSame: (sealed: Uint8Array) => boolean },
): Promise<ChangeResult<{ version: number | null; isDeleted: boolean }>> {
  const { messageId, eventId, content, isSame } = change;
  return changeMessage(db, change, async (tx, message, inboxes) => {
    const { conversation } = message;
    const isDeleted = message.content === null;
    const unchanged = { isDeleted, events: [], outboxId: null };
    if (message.content === null) return { version: null, ...unchanged };
    if (isSame(message.content)) return { version: message.version, ...unchanged };
    if (message.version >= MAX_VERSIONS) return { version: null, ...unchanged };
    await sql`
      insert into message_versions (message_id, version, content, at)
      select id, version, content, coalesce(edited_at, created_at) from messages where id = ${messageId}
    `.execute(tx);
    const version = message.version + 1;
    await sql`
      update messages set content = ${content}, version = ${version}, edited_at = now() where id = ${messageId}
    `.execute(tx);
    const kind = "message.edited";
    const announcement = { kind, eventId, messageId, messageVersion: version, conversation, data: null };
    return { version, isDeleted, ...(await announce(tx, inboxes, announcement)) };
  });
}

/**
 * Deletes a message: the contents of all its versions are gone, and a row without content stays. One that is deleted already stays as it is. Locks the inboxes of those who take part, by id, then
 * the message.
 */
export function deleteMessage(db: Db, change: MessageChange): Promise<ChangeResult<object>> {
  const { messageId, eventId } = change;
  return changeMessage(db, change, async (tx, { conversation, version, content }, inboxes) => {
    if (content === null) return { events: [], outboxId: null };
    await sql`delete from message_versions where message_id = ${messageId}`.execute(tx);
    await sql`update messages set content = null, deleted_at = now() where id = ${messageId}`.execute(tx);
    const kind = "message.deleted";
    return announce(tx, inboxes, { kind, eventId, messageId, messageVersion: version, conversation, data: null });
  });
}

/**
 * Moves a user's read marker forward to a message, and tells those who take part; one that is further already stays. Null where the user does not take part in
 * the conversation, or the message is not in it. Locks the inboxes of those who take part, by id, then the participant.
 */
export function markRead(
  db: Db,
  marking: { userId: number; conversation: number; messageId: string; eventId: string; data: Uint8Array },
): Promise<AppendedEvents | null> {
  const { userId, conversation, messageId, eventId, data } = marking;
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ version: number }>`
      select m.version from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
      where m.id = ${messageId} and m.conversation_id = ${conversation} and m.content is not null
    `.execute(tx);
    const [message] = rows;
    if (message === undefined) return null;
    const inboxes = await lockInboxes(tx, conversation);
    const moved = await sql`
      update participants p set read_at = m.created_at, read_id = m.id
      from messages m
      where p.user_id = ${userId} and p.conversation_id = ${conversation} and m.id = ${messageId}
        and (p.read_at is null or (p.read_at, p.read_id) < (m.created_at, m.id))
      returning p.user_id
    `.execute(tx);
    if (moved.rows.length === 0) return { events: [], outboxId: null };
    return announce(tx, inboxes, {
      kind: "receipt.read",
      eventId,
      messageId,
      messageVersion: message.version,
      conversation,
      data,
    });
  });
}

export interface MessageVersion {
  version: number;
  /** Sealed under the message's id. */
  content: Uint8Array;
  at: Date;
}

/** All versions of a message, the first one first; null where the user takes no part in its conversation, or it was deleted. */
export async function listVersions(db: Db, userId: number, messageId: string): Promise<readonly MessageVersion[] | null> {
  const { rows } = await sql<MessageVersion>`
    with current as (
      select m.id, m.version, m.content, coalesce(m.edited_at, m.created_at) as at
      from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
      where m.id = ${messageId} and m.content is not null
    )
    select version, content, at from current
    union all
    select v.version, v.content, v.at from message_versions v join current on current.id = v.message_id
    order by version
  `.execute(db);
  return rows.length === 0 ? null : rows;
}
