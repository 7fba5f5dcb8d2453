import { type RawBuilder, sql } from "kysely";
import type { Db } from "./database.ts";

/** Whether one of them blocks the other: neither is told of the other then. */
const blocksBetween = (one: number, other: RawBuilder<unknown>) => sql`
  exists (select from blocks where (user_id = ${one} and blocked_id = ${other}) or (user_id = ${other} and blocked_id = ${one}))
`;

/**
 * The inboxes of all others who take part in a conversation, for a user who types there; none where the user
 * does not let others know. Null where the user takes no part in it.
 */
export async function listTypingAudience(db: Db, userId: number, conversation: number): Promise<readonly number[] | null> {
  const { rows } = await sql<{ inbox: number | null }>`
    select b.id as inbox from participants own join users u on u.id = own.user_id
      join conversations c on c.id = own.conversation_id
      left join participants p on p.conversation_id = c.id and p.user_id <> own.user_id and u.typing and p.request is null
        and own.request is null
        and (c.low_user_id is null or exists (select from messages m where m.conversation_id = c.id and m.content is not null))
      left join inboxes b on b.user_id = p.user_id and not ${blocksBetween(userId, sql`p.user_id`)}
    where own.conversation_id = ${conversation} and own.user_id = ${userId}
  `.execute(db);
  if (rows.length === 0) return null;
  return rows.flatMap(({ inbox }) => (inbox === null ? [] : [inbox]));
}

/** Others who are told that a user is there. */
const MAX_AUDIENCE = 100;
/** Messages of a conversation that are looked through for one of the user. */
const LOOKED_AT = 20;

/**
 * The inboxes of those with whom a user began the latest conversations of two, and to whom the user has written
 * lately: nobody sees somebody who never wrote to them. None where the user does not let others know.
 */
export async function listPresenceAudience(db: Db, userId: number): Promise<readonly number[]> {
  const { rows } = await sql<{ inbox: number }>`
    select b.id as inbox from (
      select c.id, case when c.low_user_id = p.user_id then c.high_user_id else c.low_user_id end as peer
      from participants p join conversations c on c.id = p.conversation_id and c.low_user_id <> c.high_user_id
        join users u on u.id = p.user_id and u.presence
      where p.user_id = ${userId} order by p.conversation_id desc limit ${MAX_AUDIENCE}
    ) as peers join inboxes b on b.user_id = peer and not ${blocksBetween(userId, sql`peer`)}
    where exists (
      select from (
        select m.sender_id from messages m where m.conversation_id = peers.id and m.content is not null
        order by m.created_at desc, m.id desc limit ${LOOKED_AT}
      ) as latest where sender_id = ${userId}
    )
  `.execute(db);
  return rows.map(({ inbox }) => inbox);
}
