import { sql } from "kysely";
import type { Db } from "./database.ts";

/**
 * The inboxes of all others who take part in a conversation, for a user who types there; none where the user
 * does not let others know. Null where the user takes no part in it.
 */
export async function listTypingAudience(db: Db, userId: number, conversation: number): Promise<readonly number[] | null> {
  const { rows } = await sql<{ inbox: number | null }>`
    select b.id as inbox from participants own join users u on u.id = own.user_id
      left join participants p on p.conversation_id = own.conversation_id and p.user_id <> own.user_id and u.typing
      left join inboxes b on b.user_id = p.user_id
    where own.conversation_id = ${conversation} and own.user_id = ${userId}
  `.execute(db);
  if (rows.length === 0) return null;
  return rows.flatMap(({ inbox }) => (inbox === null ? [] : [inbox]));
}

/** Others who are told that a user is there. */
const MAX_AUDIENCE = 100;

/**
 * The inboxes of those with whom a user began the latest conversations of two; none where the user does not
 * let others know.
 */
export async function listPresenceAudience(db: Db, userId: number): Promise<readonly number[]> {
  const { rows } = await sql<{ inbox: number }>`
    select b.id as inbox from (
      select case when c.low_user_id = p.user_id then c.high_user_id else c.low_user_id end as peer
      from participants p join conversations c on c.id = p.conversation_id and c.low_user_id is not null and c.low_user_id <> c.high_user_id
        join users u on u.id = p.user_id and u.presence
      where p.user_id = ${userId} order by p.conversation_id desc limit ${MAX_AUDIENCE}
    ) as peers join inboxes b on b.user_id = peer
  `.execute(db);
  return rows.map(({ inbox }) => inbox);
}
