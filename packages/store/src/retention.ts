import { type RawBuilder, sql } from "kysely";
import { announce, type AppendedEvents } from "./append-events.ts";
import { eraseContents } from "./change-messages.ts";
import type { Db } from "./database.ts";
import { keepValue } from "./kept-values.ts";

/** Erased in one transaction. */
const SLICE = 1_000;
/** In one go: what is left then waits for the next one. */
const MAX_SLICES = 100;
/** A number for PostgreSQL's advisory locks: one process at a time erases what has expired. */
const LOCK = 7_365_034;
/** Up to which message all that expired has been erased, in `meta`. */
const EXPIRED_UP_TO = "expired_messages";
const NO_ID = "00000000-0000-0000-0000-000000000000";

/** The first id that a message of this moment, or a later one, can have: ids begin with their time (RFC 9562, 5.7). */
function firstIdAt(at: number): string {
  const time = Math.max(0, Math.floor(at)).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}

/** Runs slices until one was not full; none where another process does. Returns how many messages were erased. */
async function inSlices(db: Db, slice: (tx: Db) => Promise<{ erased: number; isFull: boolean }>): Promise<number> {
  let erased = 0;
  for (let n = 0; n < MAX_SLICES; n += 1) {
    const done = await db.transaction().execute(async (tx) => {
      const { rows } = await sql<{ had: boolean }>`select pg_try_advisory_xact_lock(${LOCK}) as had`.execute(tx);
      return rows[0]?.had === true ? slice(tx) : { erased: 0, isFull: false };
    });
    erased += done.erased;
    if (!done.isFull) break;
  }
  return erased;
}

/** Erases all messages that were sent before a moment (milliseconds since the epoch). Returns how many. */
export async function expireMessages(db: Db, before: number): Promise<number> {
  await keepValue(db, EXPIRED_UP_TO, () => NO_ID);
  return inSlices(db, async (tx) => {
    const { rows } = await sql<{ id: string; isErased: boolean }>`
      select id, content is null as "isErased" from messages
      where id > (select value from meta where key = ${EXPIRED_UP_TO})::uuid and id < ${firstIdAt(before)}::uuid order by id limit ${SLICE}
    `.execute(tx);
    const last = rows.at(-1);
    if (last === undefined) return { erased: 0, isFull: false };
    const ids = rows.filter(({ isErased }) => !isErased).map(({ id }) => id);
    await eraseContents(tx, ids);
    await sql`update meta set value = ${last.id} where key = ${EXPIRED_UP_TO}`.execute(tx);
    return { erased: ids.length, isFull: rows.length === SLICE };
  });
}

/** Erases the messages of conversations that keep theirs for some days only. Returns how many. */
export async function expireConversations(db: Db): Promise<number> {
  const { rows: keeping } = await sql<{
    id: number;
  }>`select id from conversations where keep_days is not null order by id`.execute(db);
  let erased = 0;
  for (const { id } of keeping) {
    erased += await inSlices(db, async (tx) => {
      const { rows } = await sql<{ id: string; at: string }>`
        select m.id, m.created_at::text as at from messages m join conversations c on c.id = m.conversation_id
        where c.id = ${id} and m.content is not null and m.created_at < now() - c.keep_days * interval '1 day'
          and m.created_at >= coalesce(c.expired_at, '-infinity')
        order by m.created_at, m.id limit ${SLICE}
      `.execute(tx);
      const last = rows.at(-1);
      if (last === undefined) return { erased: 0, isFull: false };
      await eraseContents(
        tx,
        rows.map((row) => row.id),
      );
      await sql`update conversations set expired_at = ${last.at}::timestamptz where id = ${id}`.execute(tx);
      return { erased: rows.length, isFull: rows.length === SLICE };
    });
  }
  return erased;
}

/**
 * Says for how many days a conversation keeps its messages; null for ever. Whoever takes part is told. Null where the user
 * takes no part in it; `forbidden` where they are only a member of the group. Locks the inboxes of those who take part, by id.
 */
export async function keepMessages(
  db: Db,
  {
    conversation,
    userId,
    days,
    eventId,
    data,
  }: { conversation: number; userId: number; days: number | null; eventId: string; data: Uint8Array },
): Promise<AppendedEvents | "forbidden" | null> {
  return db.transaction().execute(async (tx) => {
    const { rows: boxes } = await sql<{ id: number }>`
      select b.id from inboxes b join participants p on p.user_id = b.user_id
      where p.conversation_id = ${conversation} order by b.id for no key update of b
    `.execute(tx);
    const { rows } = await sql<{ role: string | null }>`
      select role from participants where conversation_id = ${conversation} and user_id = ${userId}
    `.execute(tx);
    const [own] = rows;
    if (own === undefined) return null;
    if (own.role === "member") return "forbidden";
    const changed: RawBuilder<unknown> = sql`
      update conversations set keep_days = ${days}, expired_at = null where id = ${conversation} and keep_days is distinct from ${days}
      returning id
    `;
    if ((await changed.execute(tx)).rows.length === 0) return { events: [], outboxId: null };
    const inboxes = boxes.map(({ id }) => id);
    return announce(tx, inboxes, { kind: "conversation.changed", eventId, conversation, data });
  });
}
