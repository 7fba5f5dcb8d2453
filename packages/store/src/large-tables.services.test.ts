import { createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { appendMessages } from "./append-messages.ts";
import { deleteMessage, editMessage, listVersions, markRead, react } from "./change-messages.ts";
import { findConversation, findMessage, listConversations, listMessages, listOwnMessages } from "./conversations.ts";
import type { Db } from "./database.ts";
import { readEvents } from "./deliveries.ts";
import { listDeliveries } from "./delivery-states.ts";
import { addMember, changeRole, listMembers, removeMember } from "./groups.ts";
import { findInbox } from "./inboxes.ts";
import { listPresenceAudience, listTypingAudience } from "./signals.ts";
import { takeTicket } from "./stream-tickets.ts";

const PEOPLE = 40_000;
const CONVERSATIONS = 2_000;
const MESSAGES = 60_000;
const LARGE = ["users", "inboxes", "participants", "conversations", "messages", "message_versions", "events"];

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase(inject("databaseUrl"));
});
afterAll(() => database.drop());

async function fill(db: Db): Promise<void> {
  // The first user has many conversations, and most messages are in two of them; some are deleted.
  await sql`
    insert into users (username, username_key, password_hash) select 'u' || n, 'u' || n, '-' from generate_series(1, ${PEOPLE}::integer) n
  `.execute(db);
  await sql`insert into inboxes (user_id, head) select id, 0 from users`.execute(db);
  await sql`
    insert into conversations (low_user_id, high_user_id)
    select 1, n from generate_series(2, ${CONVERSATIONS + 1}::integer) n
    union all select n - 1, n from generate_series(3, ${PEOPLE}::integer) n
  `.execute(db);
  await sql`
    insert into participants (conversation_id, user_id)
    select id, low_user_id from conversations union all select id, high_user_id from conversations
  `.execute(db);
  await sql`
    insert into messages (id, conversation_id, sender_id, content, sent_at, created_at)
    select gen_random_uuid(), id, case when n % 3 = 0 then low_user_id else high_user_id end,
      case when n % 10 > 0 then 'sealed'::bytea end, now(), now() - n * interval '1 second'
    from generate_series(1, ${MESSAGES}::integer) n join conversations on id = 1 + n % (case when n % 2 = 0 then ${CONVERSATIONS}::integer else 2 end)
  `.execute(db);
  // The first user has read the two to their end, and has just joined a group in which much was written before.
  await sql`update participants set read_at = now(), read_id = gen_random_uuid() where user_id = 1 and conversation_id <= 2`.execute(
    db,
  );
  await sql`
    with made as (insert into conversations (title) values ('sealed') returning id),
    joined as (
      insert into participants (conversation_id, user_id, role, joined_at)
      select id, n, case when n = 1 then 'owner' else 'member' end, case when n = 1 then now() else 'epoch' end from made, generate_series(1, 255) n
    )
    insert into messages (id, conversation_id, sender_id, content, sent_at, created_at)
    select gen_random_uuid(), id, 2, 'sealed', now(), now() - n * interval '1 second'
    from made, generate_series(1, ${MESSAGES}::integer / 2) n
  `.execute(db);
  await sql`
    insert into events (inbox_id, seq, id, kind, message_id)
    select b.id, row_number() over (), m.id, 'message.created', m.id from messages m cross join inboxes b where b.user_id = 1
  `.execute(db);
  await sql`update inboxes set head = (select count(*) from messages) where user_id = 1`.execute(db);
  for (const table of LARGE) await sql`vacuum (analyze) ${sql.table(table)}`.execute(db);
}

/** Rows that were read by scanning whole tables, as this connection has counted them. */
async function scanned(own: Db): Promise<number> {
  await sql`select pg_stat_force_next_flush()`.execute(own);
  const { rows } = await sql<{ scanned: number }>`
    select sum(seq_tup_read)::integer as scanned from pg_stat_user_tables where relname = any(${LARGE}::text[])
  `.execute(own);
  return rows[0]?.scanned as number;
}

/** Messages that were looked at by an index. */
async function lookedAt(own: Db): Promise<number> {
  await sql`select pg_stat_force_next_flush()`.execute(own);
  const { rows } = await sql<{ read: number }>`
    select sum(idx_tup_read)::integer as read from pg_stat_user_indexes where relname = 'messages'
  `.execute(own);
  return rows[0]?.read as number;
}

/** Each of thousands of conversations is asked for its last message, and those of a page for a hundred that are unread. */
const LOOKED_AT_MOST = 2 * CONVERSATIONS + 51 * 100;

it("finds by an index all that the API asks for, in tables that are large", { timeout: 120_000 }, async () => {
  // One connection: what others have counted comes late.
  await database.store.db.connection().execute((db) => expectIndexes(db));
});

async function expectIndexes(db: Db): Promise<void> {
  await fill(db);
  const page = { after: null, limit: 51, archived: null };
  const { conversations } = await listConversations(db, 1, page);
  const busy = conversations.find(({ id }) => id <= 2)?.id as number;
  const { messages } = (await listMessages(db, 1, busy, { ...page, order: "newest" })) as {
    messages: readonly { id: string; at: number }[];
  };
  const last = messages.at(-1) as { id: string; at: number };
  const own = await sql<{ id: string }>`
    select id from messages where conversation_id = ${busy} and sender_id = 1 and content is not null limit 2
  `.execute(db);
  const [first, second] = own.rows.map(({ id }) => ({ messageId: id, userId: 1, eventId: id }));
  const made = await sql<{ id: number }>`select id from conversations where low_user_id is null`.execute(db);
  const group = made.rows[0]?.id as number;
  const written = { ...(second as NonNullable<typeof second>), emoji: "👍", isThere: true, data: Buffer.from("sealed") };
  const event = { eventId: last.id, sealData: () => Buffer.from("sealed") };
  const toGroup = {
    id: "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f",
    sentEventId: "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e2f",
    senderId: 1,
    to: { group },
    sessionId: 0,
    content: Buffer.from("sealed"),
    sentAt: 0,
    requestKey: null,
  };
  const calls: Record<string, () => Promise<unknown>> = {
    "a group that one has just joined": () => findConversation(db, 1, group),
    "its history": () => listMessages(db, 1, group, { ...page, order: "oldest" }),
    "its members": () => listMembers(db, 1, group),
    "a message to it": () => appendMessages(db, [toGroup]),
    "what became of that": () => listDeliveries(db, toGroup.id),
    "who is told that one types": () => listTypingAudience(db, 1, group),
    "who is told that one is there": () => listPresenceAudience(db, 1),
    "a new member": () => addMember(db, { conversation: group, by: 1, userId: 5_000, ...event }),
    "another role": () => changeRole(db, { conversation: group, by: 1, userId: 2, role: "admin", ...event }),
    "somebody who leaves": () => removeMember(db, { conversation: group, by: 2, userId: 2, ...event }),
    "a ticket": () => takeTicket(db, Buffer.from("hash")),
    "a reaction": () => react(db, written),
    "a list of conversations": () => listConversations(db, 1, page),
    "its second page": () => listConversations(db, 1, { ...page, after: { at: last.at, id: busy } }),
    "a conversation": () => findConversation(db, 1, busy),
    "a history": () => listMessages(db, 1, busy, { ...page, order: "oldest" }),
    "its second page, newest first": () => listMessages(db, 1, busy, { after: last, limit: 51, order: "newest" }),
    "messages of all conversations": () => listOwnMessages(db, 1, { after: null, limit: 51, since: null, until: null }),
    "their second page": () => listOwnMessages(db, 1, { after: last, limit: 51, since: null, until: null }),
    "a message": () => findMessage(db, last.id, 1),
    "an inbox": () => findInbox(db, 1),
    "some events": () => readEvents(db, [{ inbox: 1, after: 30_000, limit: 100 }], 65_536),
    "an edit": () =>
      editMessage(db, { ...(first as NonNullable<typeof first>), content: Buffer.from("other"), isSame: () => false }),
    "its versions": () => listVersions(db, 1, first?.messageId as string),
    "a deletion": () => deleteMessage(db, second as NonNullable<typeof second>),
    "a read marker": () =>
      markRead(db, { userId: 1, conversation: busy, messageId: last.id, eventId: last.id, data: Buffer.from("sealed") }),
  };
  for (const [what, call] of Object.entries(calls)) {
    const before = { scanned: await scanned(db), lookedAt: await lookedAt(db) };
    await call();
    expect((await lookedAt(db)) - before.lookedAt, what).toBeLessThan(LOOKED_AT_MOST);
    expect((await scanned(db)) - before.scanned, what).toBeLessThan(10); // a table with hardly a row is scanned, and that is right
  }
}
