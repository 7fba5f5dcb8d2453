import { sql } from "kysely";
import type { Db } from "./database.ts";

/** A place in a list that is ordered by time, and by id where that is the same. `at` is in microseconds since the epoch, as the database keeps it. */
export interface Place<Id> {
  at: number;
  id: Id;
}

/** A conversation as one of those who take part sees it. */
export interface ConversationRow {
  id: number;
  /** The other one; null once the account was deleted. Oneself where one writes to oneself. */
  peer: { id: number; username: string | null; fullName: string | null } | null;
  last: MessageRow;
  /** Messages of the other one after the read marker, up to `MAX_UNREAD`. */
  unread: number;
  /** The last message that one has read; null where one has read none. */
  readId: string | null;
}

export interface MessageRow {
  id: string;
  conversation: number;
  senderId: number;
  /** Sealed under the id. */
  content: Uint8Array;
  version: number;
  at: number;
}

const MAX_UNREAD = 100;

const micros = (column: string) => sql<number>`(extract(epoch from ${sql.ref(column)}) * 1000000)::bigint`;
const timestamp = (at: number) => sql`(timestamptz 'epoch' + ${at}::float8 * interval '1 microsecond')`;

interface ListedConversation {
  id: number;
  peerId: number | null;
  peerUsername: string | null;
  peerFullName: string | null;
  messageId: string;
  senderId: number;
  content: Uint8Array;
  version: number;
  at: number;
  unread: number;
  readId: string | null;
}

/** Finds what follows from the participant `p` and its last message `last`. */
const CONVERSATION_COLUMNS = sql`
  p.conversation_id as id, peer.id as "peerId", peer.username as "peerUsername", peer.full_name as "peerFullName",
  last.id as "messageId", last.sender_id as "senderId", last.content, last.version, ${micros("last.created_at")} as at,
  p.read_id as "readId", (
    select count(*)::integer from (
      select from messages m
      where m.conversation_id = p.conversation_id and m.sender_id <> p.user_id and m.content is not null
        and (p.read_at is null or (m.created_at, m.id) > (p.read_at, p.read_id))
      limit ${MAX_UNREAD}
    ) as unread
  ) as unread
`;

/** The last message of the participant's conversation; one without any is not listed. */
const LAST = sql`
  select m.id, m.sender_id, m.content, m.version, m.created_at from messages m
  where m.conversation_id = p.conversation_id and m.content is not null
  order by m.created_at desc, m.id desc limit 1
`;

const PEER = sql`
  conversations c on c.id = p.conversation_id
  left join users peer on peer.id = case when c.low_user_id = p.user_id then c.high_user_id else c.low_user_id end
`;

function conversationOf(row: ListedConversation): ConversationRow {
  const { id, peerId, content, version, senderId, at } = row;
  return {
    id,
    peer: peerId === null ? null : { id: peerId, username: row.peerUsername, fullName: row.peerFullName },
    last: { id: row.messageId, conversation: id, senderId, content, version, at },
    unread: row.unread,
    readId: row.readId,
  };
}

/**
 * The conversations of a user that come after a place, the one with the newest message first; up to `limit`. `head` is that of the user's inbox at the same moment: what
 * comes after it is not in the list.
 */
export async function listConversations(
  db: Db,
  userId: number,
  { after, limit }: { after: Place<number> | null; limit: number },
): Promise<{ head: number; conversations: readonly ConversationRow[] }> {
  const { rows } = await sql<{ head: number } & (ListedConversation | { id: null })>`
    select b.head, page.* from inboxes b left join lateral (
      select ${CONVERSATION_COLUMNS}
      from (
        select p.*, last.id as last_id from participants p cross join lateral (${LAST}) as last
        where p.user_id = b.user_id
          ${after === null ? sql`` : sql`and (last.created_at, p.conversation_id) < (${timestamp(after.at)}, ${after.id})`}
        order by last.created_at desc, p.conversation_id desc limit ${limit}
      ) as p
      join ${PEER}
      join messages last on last.id = p.last_id
    ) as page on true
    where b.user_id = ${userId}
    order by page.at desc, page.id desc
  `.execute(db);
  const conversations = rows.flatMap((row) => (row.id === null ? [] : [conversationOf(row)]));
  return { head: rows[0]?.head ?? 0, conversations };
}

/** A conversation that the user takes part in, and that has a message; null otherwise. */
export async function findConversation(
  db: Db,
  userId: number,
  conversation: number,
): Promise<{ head: number; conversation: ConversationRow } | null> {
  const { rows } = await sql<{ head: number } & ListedConversation>`
    select b.head, ${CONVERSATION_COLUMNS}
    from inboxes b join participants p on p.user_id = b.user_id join ${PEER} cross join lateral (${LAST}) as last
    where b.user_id = ${userId} and p.conversation_id = ${conversation}
  `.execute(db);
  const [row] = rows;
  return row === undefined ? null : { head: row.head, conversation: conversationOf(row) };
}

/**
 * Messages of a conversation, up to `limit` after a place, in the order asked for; null where the user does not take part in it. `head` is that of the user's inbox at
 * the same moment.
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
      select m.id, m.conversation_id as conversation, m.sender_id as "senderId", m.content, m.version, ${micros("m.created_at")} as at
      from messages m
      where m.conversation_id = p.conversation_id and m.content is not null
        ${after === null ? sql`` : sql`and (m.created_at, m.id) ${following} (${timestamp(after.at)}, ${after.id}::uuid)`}
      order by m.created_at ${direction}, m.id ${direction} limit ${limit}
    ) as page on true
    where p.user_id = ${userId} and p.conversation_id = ${conversation}
    order by page.at ${direction}, page.id ${direction}
  `.execute(db);
  const [first] = rows;
  if (first === undefined) return null;
  const messages = rows.flatMap((row) => {
    if (row.id === null) return [];
    const { id, senderId, content, version, at } = row;
    return [{ id, conversation, senderId, content, version, at }];
  });
  return { head: first.head, messages };
}
