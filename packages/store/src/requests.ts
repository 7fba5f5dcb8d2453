import { sql } from "kysely";
import type { Db } from "./database.ts";
import type { EndpointsChanged } from "./endpoints.ts";
import { lockUser } from "./inboxes.ts";

/**
 * Has a user be asked before messages of strangers arrive, or no longer; what waits then, waits on. A
 * conversation that nobody has written in counts as a stranger's, whoever opened it. Locks the inbox.
 */
export async function screenStrangers(db: Db, userId: number, screens: boolean): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await lockUser(tx, userId);
    await sql`
      update inboxes set screens = ${screens}, has_requests = has_requests or ${screens} where user_id = ${userId}
    `.execute(tx);
    if (!screens) return;
    await sql`
      update participants p set request = 'waiting' from conversations c
      where p.user_id = ${userId} and p.request is null and c.id = p.conversation_id and c.low_user_id <> c.high_user_id
        and not exists (select from messages m where m.conversation_id = c.id)
    `.execute(tx);
  });
}

/** That arrive in one transaction. */
const ARRIVE_AT_ONCE = 500;
/** So many transactions: of more that wait, the rest arrives when it is accepted again. */
const MAX_SLICES = 1_000;

/**
 * Accepts a stranger: the messages that wait arrive, in the order they were sent, as they are now. Null where no answer is
 * waited for. Locks the inbox, again and again where many wait.
 */
export async function acceptRequest(db: Db, userId: number, conversation: number): Promise<EndpointsChanged | null> {
  let changed: EndpointsChanged | null = null;
  for (let n = 0; n < MAX_SLICES; n += 1) {
    const slice = await acceptSlice(db, userId, conversation);
    if (slice === null) break;
    changed = slice.changed;
    if (slice.isLast) break;
  }
  return changed;
}

/** The first messages that wait; with the last of them, nobody waits any more. */
async function acceptSlice(
  db: Db,
  userId: number,
  conversation: number,
): Promise<{ changed: EndpointsChanged; isLast: boolean } | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockUser(tx, userId);
    const { rows: asked } = await sql`
      select from participants where conversation_id = ${conversation} and user_id = ${userId} and request is not null for update
    `.execute(tx);
    if (inbox === null || asked.length === 0) return null;
    const { rows } = await sql<{ outboxId: number; count: number }>`
      with come as materialized (
        select m.id, m.version, row_number() over (order by e.seq) as n
        from messages m join events e on e.message_id = m.id and e.inbox_id = ${inbox} and e.kind = 'message.requested'
        where m.conversation_id = ${conversation} and m.content is not null and not exists (
          select from events a where a.message_id = m.id and a.inbox_id = ${inbox} and a.kind = 'message.created'
        )
        order by e.seq limit ${ARRIVE_AT_ONCE}
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
      insert into outbox (inbox_ids) values (array[${inbox}::bigint])
      returning id as "outboxId", (select count(*)::integer from come) as count
    `.execute(tx);
    const { outboxId, count } = rows[0] as { outboxId: number; count: number };
    const isLast = count < ARRIVE_AT_ONCE;
    if (isLast) {
      await sql`update participants set request = null where conversation_id = ${conversation} and user_id = ${userId}`.execute(
        tx,
      );
    }
    return { changed: { inbox, outboxId }, isLast };
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
