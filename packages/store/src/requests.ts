import { sql } from "kysely";
import type { Db } from "./database.ts";
import type { EndpointsChanged } from "./endpoints.ts";

/** Locks a user's inbox; null where there is no such user. */
async function lockOwn(tx: Db, userId: number): Promise<number | null> {
  const { rows } = await sql<{ id: number }>`select id from inboxes where user_id = ${userId} for no key update`.execute(tx);
  return rows[0]?.id ?? null;
}

/** Has a user be asked before messages of strangers arrive, or no longer; what waits then, waits on. Locks the inbox. */
export async function screenStrangers(db: Db, userId: number, screens: boolean): Promise<void> {
  await sql`
    update inboxes set screens = ${screens}, has_requests = has_requests or ${screens} where user_id = ${userId}
  `.execute(db);
}

/**
 * Accepts a stranger: the messages that wait arrive, in the order they were sent, as they are now. Null where no answer is
 * waited for. Locks the inbox.
 */
export async function acceptRequest(db: Db, userId: number, conversation: number): Promise<EndpointsChanged | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockOwn(tx, userId);
    const { rows: asked } = await sql`
      update participants set request = null
      where conversation_id = ${conversation} and user_id = ${userId} and request is not null returning user_id
    `.execute(tx);
    if (inbox === null || asked.length === 0) return null;
    const { rows } = await sql<{ outboxId: number }>`
      with come as materialized (
        select m.id, m.version, row_number() over (order by e.seq) as n
        from messages m join events e on e.message_id = m.id and e.inbox_id = ${inbox} and e.kind = 'message.requested'
        where m.conversation_id = ${conversation} and m.content is not null
      ),
      moved as (
        update inboxes set head = head + (select count(*) from come) where id = ${inbox} returning head
      ),
      logged as (
        insert into events (inbox_id, seq, id, kind, message_id, message_version, created_at)
        select ${inbox}::bigint, moved.head - (select count(*) from come) + n, come.id, 'message.created', come.id,
          nullif(come.version, 1), clock_timestamp()
        from come cross join moved
      )
      insert into outbox (inbox_ids) values (array[${inbox}::bigint]) returning id as "outboxId"
    `.execute(tx);
    return { inbox, outboxId: (rows[0] as { outboxId: number }).outboxId };
  });
}

/** Whether anybody's messages wait, or waited, for a user to accept them. Locks nothing. */
export async function hasRequests(db: Db, userId: number): Promise<boolean> {
  const { rows } = await sql<{ has: boolean }>`select has_requests as has from inboxes where user_id = ${userId}`.execute(db);
  return rows[0]?.has === true;
}

/** Declines a stranger, whose messages are not listed any more, and who is not told. False where no answer is waited for. */
export async function declineRequest(db: Db, userId: number, conversation: number): Promise<boolean> {
  const { rows } = await sql`
    update participants set request = 'declined'
    where conversation_id = ${conversation} and user_id = ${userId} and request is not null returning user_id
  `.execute(db);
  return rows.length > 0;
}
