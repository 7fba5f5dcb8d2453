import { sql } from "kysely";
import { announce, type AppendedEvents, IS_VISIBLE, lockInboxes, transactionOfMembers } from "./append-events.ts";
import type { Db } from "./database.ts";
import { reconsiderNotices, withdrawNoticesOf } from "./notices.ts";
import type { Role } from "./groups.ts";
import { findBlocks } from "./people.ts";

export interface MessageChange {
  messageId: string;
  /** Who changes it. */
  userId: number;
  eventId: string;
}

interface LockedMessage {
  conversation: number;
  senderId: number;
  version: number;
  content: Uint8Array | null;
  /** What the user is in the group; null in a conversation of two. */
  role: Role | null;
}

/** What became of a change: `no-message` where the user cannot read it; `not-own` where somebody else sent it. */
export type ChangeResult<Changed> =
  { status: "changed"; change: Changed & AppendedEvents } | { status: "no-message" | "not-own" };

/**
 * Locks the inboxes of a message's conversation, then the message. What is `said` by the change, nobody says to who blocks
 * them.
 */
function changeMessage<Changed>(
  db: Db,
  { messageId, userId, mayChange, isSaid }: MessageChange & { mayChange: (message: LockedMessage) => boolean; isSaid: boolean },
  change: (tx: Db, message: LockedMessage, inboxes: readonly number[]) => Promise<Changed & AppendedEvents>,
): Promise<ChangeResult<Changed>> {
  return transactionOfMembers(db, async (tx) => {
    const found = await sql<{ conversation: number }>`
      select m.conversation_id as conversation
      from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
      where m.id = ${messageId} and ${IS_VISIBLE}
    `.execute(tx);
    const conversation = found.rows[0]?.conversation;
    if (conversation === undefined) return { status: "no-message" };
    const inboxes = await lockInboxes(tx, conversation, messageId);
    // Again, as the account may have been deleted meanwhile, or the user have left.
    const { rows } = await sql<LockedMessage>`
      select m.conversation_id as conversation, m.sender_id as "senderId", m.version, m.content, p.role
      from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
      where m.id = ${messageId} and ${IS_VISIBLE} for update of m
    `.execute(tx);
    const [message] = rows;
    if (message === undefined) return { status: "no-message" };
    if (isSaid && (await findBlocks(tx, conversation, userId)).isBlocked) return { status: "no-message" };
    if (!mayChange(message)) return { status: message.content === null ? "no-message" : "not-own" };
    return { status: "changed", change: await change(tx, message, inboxes) };
  });
}

/** Beyond so many, a message cannot be edited any more: all its versions are kept. */
export const MAX_VERSIONS = 100;

/**
 * Gives a message another content, and keeps the one before; where `isSame` says so of the one before,
 * nothing changes. Null for `version` where it has as many versions as it may, or was deleted (then
 * `isDeleted`). Locks the inboxes of those who take part, by id, then the message.
 */
export function editMessage(
  db: Db,
  change: MessageChange & { content: Uint8Array; isSame: (sealed: Uint8Array) => boolean },
): Promise<ChangeResult<{ version: number | null; isDeleted: boolean }>> {
  const { messageId, userId, eventId, content, isSame } = change;
  const mayChange = ({ senderId }: LockedMessage): boolean => senderId === userId;
  return changeMessage(db, { ...change, mayChange, isSaid: true }, async (tx, message, inboxes) => {
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
    await withdrawNoticesOf(tx, conversation);
    const edited = { kind: "message.edited", eventId, conversation, message: { id: messageId, version }, data: null };
    return { version, isDeleted, ...(await announce(tx, inboxes, edited)) };
  });
}

/**
 * Deletes a message: the contents of all its versions are gone, and a row without content stays. One's own,
 * or any of a group whose owner or admin one is. One that is deleted already stays as it is. Locks the
 * inboxes of those who take part, by id, then the message.
 */
export function deleteMessage(db: Db, change: MessageChange): Promise<ChangeResult<object>> {
  const { messageId, userId, eventId } = change;
  const mayChange = ({ senderId, role }: LockedMessage): boolean => senderId === userId || role === "owner" || role === "admin";
  return changeMessage(db, { ...change, mayChange, isSaid: false }, (tx, message, inboxes) =>
    eraseMessage(tx, { id: messageId, ...message }, eventId, inboxes),
  );
}

/**
 * Deletes a message for a moderator, who takes no part in its conversation, whoever sent it, and wherever that one is now.
 * Locks the inboxes of those who take part, by id, then the message.
 */
export function deleteAnyMessage(db: Db, messageId: string, eventId: string): Promise<AppendedEvents> {
  return transactionOfMembers(db, async (tx) => {
    const found = await sql<{ conversation: number }>`
      select conversation_id as conversation from messages where id = ${messageId}
    `.execute(tx);
    const conversation = found.rows[0]?.conversation;
    if (conversation === undefined) return { events: [], outboxId: null };
    const inboxes = await lockInboxes(tx, conversation, messageId);
    const { rows } = await sql<{ version: number; content: Uint8Array | null }>`
      select version, content from messages where id = ${messageId} for update
    `.execute(tx);
    const [message] = rows;
    if (message === undefined) return { events: [], outboxId: null };
    return eraseMessage(tx, { id: messageId, conversation, ...message }, eventId, inboxes);
  });
}

/** Erases messages with their versions and reactions, and tells nobody: of each, only its place is left. */
export async function eraseContents(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const chosen = sql`${ids}::uuid[]`;
  await sql`delete from message_versions where message_id = any(${chosen})`.execute(db);
  await sql`delete from reactions where message_id = any(${chosen})`.execute(db);
  await sql`update messages set content = null, deleted_at = coalesce(deleted_at, now()) where id = any(${chosen})`.execute(db);
}

/** The message is locked, and so are the inboxes that are told. */
async function eraseMessage(
  tx: Db,
  { id, conversation, version, content }: Pick<LockedMessage, "conversation" | "version" | "content"> & { id: string },
  eventId: string,
  inboxes: readonly number[],
): Promise<AppendedEvents> {
  if (content === null) return { events: [], outboxId: null };
  await eraseContents(tx, [id]);
  await withdrawNoticesOf(tx, conversation);
  return announce(tx, inboxes, { kind: "message.deleted", eventId, conversation, message: { id, version }, data: null });
}

/**
 * Moves a user's read marker forward to a message, and tells those who take part, or only the user where that
 * one's receipts are switched off, or one of two blocks the other; one that is further already stays. Null where the user cannot read that
 * message, or it is not in the conversation. Locks the inboxes of those who take part, by id, then the
 * participant.
 */
export function markRead(
  db: Db,
  marking: { userId: number; conversation: number; messageId: string; eventId: string; data: Uint8Array },
): Promise<AppendedEvents | null> {
  const { userId, conversation, messageId, eventId, data } = marking;
  return transactionOfMembers(db, async (tx) => {
    const { rows } = await sql<{ version: number; inbox: number; hasContacts: boolean; receipts: boolean }>`
      select m.version, b.id as inbox, b.has_contacts as "hasContacts", u.receipts and p.request is null as receipts
      from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
        join inboxes b on b.user_id = p.user_id join users u on u.id = p.user_id
      where m.id = ${messageId} and m.conversation_id = ${conversation} and m.content is not null and ${IS_VISIBLE}
    `.execute(tx);
    const [message] = rows;
    if (message === undefined) return null;
    const { version, inbox, hasContacts, receipts } = message;
    const inboxes = await lockInboxes(tx, conversation, messageId);
    const moved = await sql`
      update participants p set read_at = m.created_at, read_id = m.id
      from messages m
      where p.user_id = ${userId} and p.conversation_id = ${conversation} and m.id = ${messageId}
        and (p.read_at is null or (p.read_at, p.read_id) < (m.created_at, m.id))
      returning p.user_id
    `.execute(tx);
    if (moved.rows.length === 0) return { events: [], outboxId: null };
    if (hasContacts) await reconsiderNotices(tx, userId, conversation);
    const read = { kind: "receipt.read", eventId, conversation, message: { id: messageId, version }, data };
    const { isBlocked, isBlocking } = await findBlocks(tx, conversation, userId);
    const isTold = receipts && !isBlocked && !isBlocking;
    return announce(tx, isTold ? inboxes : inboxes.filter((id) => id === inbox), read);
  });
}

/** Kinds of reactions to one message. */
export const MAX_EMOJI = 20;

/**
 * Adds or takes away a user's reaction to a message; one that is there already stays as it is. Locks the
 * inboxes of those who take part, by id, then the message.
 */
export function react(
  db: Db,
  reaction: MessageChange & { emoji: string; isThere: boolean; data: Uint8Array },
): Promise<ChangeResult<{ refused: "deleted" | "too-many" | null }>> {
  const { messageId, userId, eventId, emoji, isThere, data } = reaction;
  const nothing = { refused: null, events: [], outboxId: null };
  return changeMessage(db, { ...reaction, mayChange: () => true, isSaid: isThere }, async (tx, message, inboxes) => {
    const { conversation, version, content } = message;
    if (content === null) return { ...nothing, refused: "deleted" };
    if (isThere) {
      const others = await sql`
        select distinct emoji from reactions where message_id = ${messageId} and emoji <> ${emoji}
      `.execute(tx);
      if (others.rows.length >= MAX_EMOJI) return { ...nothing, refused: "too-many" };
    }
    const changed = isThere
      ? await sql`
          insert into reactions (message_id, emoji, user_id) values (${messageId}, ${emoji}, ${userId})
          on conflict do nothing returning emoji
        `.execute(tx)
      : await sql`
          delete from reactions where message_id = ${messageId} and emoji = ${emoji} and user_id = ${userId} returning emoji
        `.execute(tx);
    if (changed.rows.length === 0) return nothing;
    const kind = isThere ? "reaction.added" : "reaction.removed";
    const reacted = { kind, eventId, conversation, message: { id: messageId, version }, data };
    return { refused: null, ...(await announce(tx, inboxes, reacted)) };
  });
}

export interface MessageVersion {
  version: number;
  /** Sealed under the message's id. */
  content: Uint8Array;
  at: Date;
}

/**
 * All versions of a message, the first one first; null where the user takes no part in its conversation, or
 * it was deleted.
 */
export async function listVersions(db: Db, userId: number, messageId: string): Promise<readonly MessageVersion[] | null> {
  const { rows } = await sql<MessageVersion>`
    with current as (
      select m.id, m.version, m.content, coalesce(m.edited_at, m.created_at) as at
      from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
      where m.id = ${messageId} and m.content is not null and ${IS_VISIBLE}
    )
    select version, content, at from current
    union all
    select v.version, v.content, v.at from message_versions v join current on current.id = v.message_id
    order by version
  `.execute(db);
  return rows.length === 0 ? null : rows;
}
