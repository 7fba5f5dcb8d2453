import { sql } from "kysely";
import type { Recipients } from "./append-messages.ts";
import { IS_VISIBLE } from "./append-events.ts";
import type { Db } from "./database.ts";
import type { Preferences, Role } from "./groups.ts";

/**
 * A place in a list that is ordered by time, and by id where that is the same. `at` is in microseconds since
 * the epoch, as the database keeps it.
 */
export interface Place<Id> {
  at: number;
  id: Id;
}

/** A conversation as one of those who take part sees it. */
export interface ConversationRow {
  id: number;
  /** Of two: the other one; null once the account was deleted. Oneself where one writes to oneself. */
  peer: { id: number; username: string | null; fullName: string | null } | null;
  /** Null for a conversation of two. */
  group: { title: Uint8Array; role: Role; members: number } | null;
  /** Null where there is no message that one can read. */
  last: MessageRow | null;
  /**
   * When the last message was written, or one joined; in microseconds since the epoch. Null for a
   * conversation of two without messages.
   */
  activeAt: number | null;
  /** Messages of others after the read marker, up to `MAX_UNREAD`. */
  unread: number;
  /** The last message that one has read; null where one has read none. */
  readId: string | null;
  /** Whether a stranger began it, whom one has not accepted. */
  isRequest: boolean;
  /** For how many days messages are kept; null for ever. */
  keepDays: number | null;
  preferences: Preferences;
}

export interface Reactions {
  emoji: string;
  count: number;
  /** Whether the reader is among them. */
  mine: boolean;
}

export interface MessageRow {
  id: string;
  conversation: number;
  senderId: number;
  /** Sealed under the id. */
  content: Uint8Array;
  version: number;
  /** In microseconds since the epoch. */
  at: number;
  /** By their code points. */
  reactions: readonly Reactions[];
}

const MAX_UNREAD = 100;
/** Comes before every id. */
const NO_ID = "00000000-0000-0000-0000-000000000000";

const micros = (column: string) => sql<number>`(extract(epoch from ${sql.ref(column)}) * 1000000)::bigint`;
const timestamp = (at: number) => sql`(timestamptz 'epoch' + ${at}::float8 * interval '1 microsecond')`;

/** The reactions to the message `m`, as the participant `p` sees them. */
const REACTIONS = sql`(
  select coalesce(jsonb_agg(jsonb_build_object('emoji', emoji, 'count', count, 'mine', mine) order by emoji collate "C"), '[]') from (
    select emoji, count(*) as count, bool_or(user_id = p.user_id) as mine
    from reactions where message_id = m.id group by emoji
  ) as kinds
)`;

/** The message `m`, as the participant `p` sees it. */
const MESSAGE_COLUMNS = sql`
  m.id, m.conversation_id as conversation, m.sender_id as "senderId", m.content, m.version, ${micros("m.created_at")} as at, ${REACTIONS} as reactions
`;

/** A message that the participant `p` can read. */
export const IS_READABLE = sql`m.conversation_id = p.conversation_id and m.content is not null and ${IS_VISIBLE}`;

/** Messages of others that the participant `p` has not read, up to `MAX_UNREAD`. */
export const UNREAD = sql`(
  select count(*)::integer from (
    select from messages m
    where ${IS_READABLE} and m.sender_id <> p.user_id and (m.created_at, m.id) > (coalesce(p.read_at, '-infinity'), coalesce(p.read_id, ${NO_ID}::uuid))
    limit ${MAX_UNREAD}
  ) as unread
)`;

interface ListedConversation {
  id: number;
  isGroup: boolean;
  peerId: number | null;
  peerUsername: string | null;
  peerFullName: string | null;
  title: Uint8Array | null;
  role: Role | null;
  members: number;
  activeAt: number | null;
  unread: number;
  readId: string | null;
  isRequest: boolean;
  keepDays: number | null;
  muted: boolean;
  archived: boolean;
  pinned: boolean;
  messageId: string | null;
  senderId: number;
  content: Uint8Array;
  version: number;
  at: number;
  reactions: readonly Reactions[];
}

/** Finds what follows from the participant `p`, its conversation `c`, and its last message `last`. */
const CONVERSATION_COLUMNS = sql`
  p.conversation_id as id, c.low_user_id is null as "isGroup",
  peer.id as "peerId", peer.username as "peerUsername", peer.full_name as "peerFullName",
  c.title, p.role, case when c.low_user_id is null then (select count(*) from participants o where o.conversation_id = c.id) else 0 end as members,
  last.id as "messageId", last."senderId", last.content, last.version, last.at, last.reactions,
  coalesce(last.at, ${micros("p.joined_at")}) as "activeAt",
  p.read_id as "readId", p.request is not null as "isRequest", c.keep_days as "keepDays", p.muted, p.archived, p.pinned, ${UNREAD} as unread
`;

/** The conversation of the participant `p`, with its last message that the participant can read, in full. */
const CONVERSATION = sql`
  conversations c on c.id = p.conversation_id
  left join users peer on peer.id = case when c.low_user_id = p.user_id then c.high_user_id else c.low_user_id end
  left join lateral (
    select ${MESSAGE_COLUMNS} from messages m where ${IS_READABLE} order by m.created_at desc, m.id desc limit 1
  ) as last on true
`;

function conversationOf(row: ListedConversation): ConversationRow {
  const { id, isGroup, peerId, title, role, members, messageId, content, version, senderId, at, reactions } = row;
  const { isRequest, keepDays, muted, archived, pinned } = row;
  return {
    id,
    peer: peerId === null ? null : { id: peerId, username: row.peerUsername, fullName: row.peerFullName },
    group: isGroup ? { title: title as Uint8Array, role: role as Role, members } : null,
    last: messageId === null ? null : { id: messageId, conversation: id, senderId, content, version, at, reactions },
    activeAt: row.activeAt,
    unread: row.unread,
    readId: row.readId,
    isRequest,
    keepDays,
    preferences: { muted, archived, pinned },
  };
}

/**
 * The conversations of a user that come after a place, the one that was last active first; up to `limit`. They are those of
 * strangers who wait to be accepted (`requests`), or all others. One
 * of two is listed once it has a message. `head` is that of the user's inbox at the same moment: what comes
 * after it is not in the list.
 */
export async function listConversations(
  db: Db,
  userId: number,
  {
    after,
    limit,
    archived,
    requests = false,
  }: { after: Place<number> | null; limit: number; archived: boolean | null; requests?: boolean },
): Promise<{ head: number; conversations: readonly ConversationRow[] }> {
  // First only when each was last active, by an index; then the rest of those that are on the page.
  const { rows } = await sql<{ head: number } & (ListedConversation | { id: null })>`
    select b.head, page.* from inboxes b left join lateral (
      select ${CONVERSATION_COLUMNS}
      from (
        select p.* from participants p left join lateral (
          select m.created_at from messages m where ${IS_READABLE} order by m.created_at desc, m.id desc limit 1
        ) as newest on true cross join lateral (select coalesce(newest.created_at, p.joined_at) as at) as active
        where p.user_id = b.user_id and active.at is not null and ${requests ? sql`p.request = 'waiting'` : sql`p.request is null`}
          ${archived === null ? sql`` : sql`and p.archived = ${archived}`}
          ${after === null ? sql`` : sql`and (active.at, p.conversation_id) < (${timestamp(after.at)}, ${after.id})`}
        order by active.at desc, p.conversation_id desc limit ${limit}
      ) as p
      join ${CONVERSATION}
    ) as page on true
    where b.user_id = ${userId}
    order by page."activeAt" desc, page.id desc
  `.execute(db);
  const conversations = rows.flatMap((row) => (row.id === null ? [] : [conversationOf(row)]));
  return { head: rows[0]?.head ?? 0, conversations };
}

/** A conversation that the user takes part in; null otherwise. */
export async function findConversation(
  db: Db,
  userId: number,
  conversation: number,
): Promise<{ head: number; conversation: ConversationRow } | null> {
  const { rows } = await sql<{ head: number } & ListedConversation>`
    select b.head, ${CONVERSATION_COLUMNS}
    from inboxes b join participants p on p.user_id = b.user_id join ${CONVERSATION}
    where b.user_id = ${userId} and p.conversation_id = ${conversation}
  `.execute(db);
  const [row] = rows;
  return row === undefined ? null : { head: row.head, conversation: conversationOf(row) };
}

/**
 * Messages of a conversation, up to `limit` after a place, in the order asked for; null where the user does
 * not take part in it. `head` is that of the user's inbox at the same moment.
 */
export async function listMessages(
  db: Db,
  userId: number,
  conversation: number,
  { after, order, limit }: { after: Place<string> | null; order: "newest" | "oldest"; limit: number },
): Promise<{ head: number; messages: readonly MessageRow[] } | null> {
  const isNewest = order === "newest";
  const direction = isNewest ? sql`desc` : sql`asc`;
  const following = isNewest ? sql`<` : sql`>`;
  const { rows } = await sql<{ head: number } & (MessageRow | { id: null })>`
    select b.head, page.* from participants p join inboxes b on b.user_id = p.user_id left join lateral (
      select ${MESSAGE_COLUMNS} from messages m
      where ${IS_READABLE}
        ${after === null ? sql`` : sql`and (m.created_at, m.id) ${following} (${timestamp(after.at)}, ${after.id}::uuid)`}
      order by m.created_at ${direction}, m.id ${direction} limit ${limit}
    ) as page on true
    where p.user_id = ${userId} and p.conversation_id = ${conversation}
    order by page.at ${direction}, page.id ${direction}
  `.execute(db);
  const [first] = rows;
  if (first === undefined) return null;
  return { head: first.head, messages: rows.flatMap((row) => (row.id === null ? [] : [row])) };
}

/** A message that the user can read; null otherwise. */
export async function findMessage(db: Db, id: string, userId: number): Promise<MessageRow | null> {
  const { rows } = await sql<MessageRow>`
    select ${MESSAGE_COLUMNS}
    from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
    where m.id = ${id} and m.content is not null and ${IS_VISIBLE}
  `.execute(db);
  return rows[0] ?? null;
}

/** Which messages of all one's conversations are wanted; times in microseconds since the epoch. */
export interface MessageFilter {
  /** From then on. */
  since: number | null;
  /** Before then. */
  until: number | null;
}

/**
 * Messages of all conversations of a user, the newest first; up to `limit` after a place. `head` is that of
 * the user's inbox at the same moment.
 *
 * They lie in as many conversations at most: those that have the newest messages before the place. So each
 * conversation is asked for one message, and those for as many as are wanted.
 */
export async function listOwnMessages(
  db: Db,
  userId: number,
  { after, limit, since, until }: MessageFilter & { after: Place<string> | null; limit: number },
): Promise<{ head: number; messages: readonly MessageRow[] }> {
  const isWanted = sql`${IS_READABLE}
    ${after === null ? sql`` : sql`and (m.created_at, m.id) < (${timestamp(after.at)}, ${after.id}::uuid)`}
    ${since === null ? sql`` : sql`and m.created_at >= ${timestamp(since)}`}
    ${until === null ? sql`` : sql`and m.created_at < ${timestamp(until)}`}`;
  const { rows } = await sql<{ head: number } & (MessageRow | { id: null })>`
    select b.head, page.* from inboxes b left join lateral (
      select ${MESSAGE_COLUMNS}
      from (
        select p.* from participants p cross join lateral (
          select m.created_at, m.id from messages m where ${isWanted} order by m.created_at desc, m.id desc limit 1
        ) as newest
        where p.user_id = b.user_id and p.request is null order by newest.created_at desc, newest.id desc limit ${limit}
      ) as p cross join lateral (
        select m.* from messages m where ${isWanted} order by m.created_at desc, m.id desc limit ${limit}
      ) as m
      order by m.created_at desc, m.id desc limit ${limit}
    ) as page on true
    where b.user_id = ${userId}
    order by page.at desc, page.id desc
  `.execute(db);
  return { head: rows[0]?.head ?? 0, messages: rows.flatMap((row) => (row.id === null ? [] : [row])) };
}

/**
 * With whom a user writes in a conversation: another user, or a group; null where the user takes no part in it. `isRequest`
 * where the other one is a stranger whom the user has not accepted.
 */
export async function findRecipients(
  db: Db,
  userId: number,
  conversation: number,
): Promise<{ to: Recipients; isRequest: boolean } | null> {
  const { rows } = await sql<{ peer: number | null; isRequest: boolean }>`
    select case when c.low_user_id = p.user_id then c.high_user_id else c.low_user_id end as peer, p.request is not null as "isRequest"
    from participants p join conversations c on c.id = p.conversation_id
    where p.conversation_id = ${conversation} and p.user_id = ${userId}
  `.execute(db);
  const [row] = rows;
  if (row === undefined) return null;
  const { peer, isRequest } = row;
  return { to: peer === null ? { group: conversation } : { user: peer }, isRequest };
}

/** Of the latest messages of a conversation, so many are looked through for an answer. */
const LOOKED_AT = 1_000;

/** Whether the other one of two has written to a user lately. Locks nothing. */
export async function hasAnswered(db: Db, userId: number, other: number): Promise<boolean> {
  const { rows } = await sql`
    select from (
      select m.sender_id from messages m join conversations c on c.id = m.conversation_id
      where c.low_user_id = ${Math.min(userId, other)} and c.high_user_id = ${Math.max(userId, other)}
      order by m.created_at desc limit ${LOOKED_AT}
    ) as latest where sender_id = ${other} limit 1
  `.execute(db);
  return rows.length > 0;
}

/** The conversation of two users; null where there is none yet. */
export async function findDirect(db: Db, one: number, other: number): Promise<number | null> {
  const { rows } = await sql<{ id: number }>`
    select id from conversations where low_user_id = ${Math.min(one, other)} and high_user_id = ${Math.max(one, other)}
  `.execute(db);
  return rows[0]?.id ?? null;
}
