import { createIds, systemClock, systemRandom } from "@messenger/core";
import { createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { appendMessages, type NewMessage } from "./append-messages.ts";
import { deleteMessage, editMessage, react } from "./change-messages.ts";
import type { Db } from "./database.ts";
import { listDeliveries } from "./delivery-states.ts";
import {
  addMember,
  ban,
  changeRole,
  createGroup,
  createInvite,
  eraseAbandonedGroups,
  joinGroup,
  listMembers,
  removeMember,
  renameGroup,
  unban,
} from "./groups.ts";
import { createUser, deleteUser } from "./users.ts";

const ids = createIds({ clock: systemClock, random: systemRandom });
const EMPTY = Buffer.from("{}");

let database: TestDatabase;
let db: Db;

beforeAll(async () => {
  database = await createTestDatabase(inject("databaseUrl"));
  db = database.store.db;
});
afterAll(() => database.drop());

let names = 0;
async function user(): Promise<number> {
  names += 1;
  const key = `member ${names}`;
  const nothing = { email: null, emailKey: null, fullName: null };
  const made = await createUser(db, {
    username: key,
    usernameKey: key,
    phoneNumber: key,
    phoneKey: key,
    ...nothing,
    passwordHash: "",
  });
  if (!("id" in made)) throw new Error("taken");
  return made.id;
}

/** What is said of a user is not sealed here, so that it can be read back. */
const about = (userId: number) => ({ eventId: ids.next(), sealData: () => Buffer.from(JSON.stringify({ userId })) });

async function makeGroup(by: number, members: readonly number[]): Promise<number> {
  const sealed = () => EMPTY;
  const made = await createGroup(db, { by, members, sealTitle: sealed, eventId: ids.next(), sealData: sealed, request: null });
  if (made.status !== "made") throw new Error(made.status);
  return made.id;
}

function message(senderId: number, to: NewMessage["to"]): NewMessage {
  const id = ids.next();
  const plain = { content: Buffer.from("x"), sentAt: 0, requestKey: null };
  return { id, sentEventId: ids.next(), senderId, to, sessionId: 0, ...plain };
}

/** As the append queue does. */
async function appendSurely(messages: readonly NewMessage[]): Promise<void> {
  let left = messages;
  for (let tries = 0; left.length > 0; tries += 1) {
    if (tries === 50) throw new Error("messages stay stale");
    const { results } = await appendMessages(db, left);
    left = left.filter((_, n) => results[n]?.status === "stale");
  }
}

interface Logged {
  kind: string;
  id: string;
  message: string | null;
  sender: number | null;
  /** Whom an event of members is about. */
  about: number | undefined;
}

/** What the inbox of a user says of a group, in its order. */
async function logOf(userId: number, group: number): Promise<Logged[]> {
  const { rows } = await sql<Omit<Logged, "about"> & { data: Uint8Array | null }>`
    select e.kind, e.id, e.message_id as message, m.sender_id as sender, e.data
    from inboxes b join events e on e.inbox_id = b.id left join messages m on m.id = e.message_id
    where b.user_id = ${userId} and coalesce(m.conversation_id, e.conversation_id) = ${group} order by e.seq
  `.execute(db);
  return rows.map(({ data, ...event }) => ({
    ...event,
    about: data === null ? undefined : (JSON.parse(Buffer.from(data).toString()) as { userId?: number }).userId,
  }));
}

/**
 * Of all that happened in a group, what somebody gets: what others write, and all else but of what they
 * cannot read, from when they join until they go.
 */
function shareOf(userId: number, all: readonly Logged[], isFirst: boolean): Logged[] {
  const share: Logged[] = [];
  let isMember = isFirst;
  const readable = new Set<string | null>([null]);
  for (const event of all) {
    const isAboutMe = event.about === userId;
    if (event.kind === "member.added" && isAboutMe) {
      isMember = true;
      readable.clear();
      readable.add(null);
    }
    if (event.kind === "message.created") readable.add(event.message);
    const isOwn = event.kind === "message.created" && event.sender === userId;
    if (isMember && !isOwn && readable.has(event.message)) share.push(event);
    if ((event.kind === "member.left" || event.kind === "member.removed") && isAboutMe) isMember = false;
  }
  return share;
}

it(
  "gives every member all of a group's events in one order, and nobody else any, while members come and go and groups overlap",
  { timeout: 120_000 },
  async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    let state = seed;
    const pick = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return Math.floor((state / 2 ** 31) * below);
    };
    const people: number[] = [];
    for (let n = 0; n < 24; n += 1) people.push(await user());
    const anybody = (): number => people[pick(people.length)] as number;
    const groups: { id: number; owner: number; first: ReadonlySet<number> }[] = [];
    for (let n = 0; n < 6; n += 1) {
      const owner = await user(); // who stays, and says nothing: what the owner's inbox has is all that happened
      const members = people.filter(() => pick(2) === 0);
      groups.push({ id: await makeGroup(owner, members), owner, first: new Set(members) });
    }
    const sent: NewMessage[] = [];

    async function act(): Promise<unknown> {
      const { id: conversation, owner } = groups[pick(groups.length)] as (typeof groups)[number];
      const userId = anybody();
      const byOwner = { conversation, by: owner, userId, ...about(userId) };
      const old = sent[pick(sent.length)];
      const change = { messageId: old?.id ?? ids.next(), userId: old?.senderId ?? 0, eventId: ids.next() };
      switch (pick(14)) {
        case 0:
          return addMember(db, byOwner);
        case 1:
          return removeMember(db, byOwner);
        case 2:
          return removeMember(db, { ...byOwner, by: userId });
        case 3:
          return changeRole(db, { ...byOwner, role: pick(2) === 0 ? "admin" : "member", ...about(0) });
        case 4:
          return ban(db, byOwner);
        case 5:
          return unban(db, byOwner);
        case 6:
          return renameGroup(db, { conversation, by: owner, title: EMPTY, ...about(0) });
        case 7:
          return editMessage(db, { ...change, content: EMPTY, isSame: () => false });
        case 8:
          return react(db, { ...change, userId, emoji: "👍", isThere: pick(2) === 0, data: EMPTY });
        case 9:
          return deleteMessage(db, change);
        default: {
          const batch = Array.from({ length: 1 + pick(6) }, () => {
            const { id: group } = groups[pick(groups.length)] as (typeof groups)[number];
            return message(anybody(), pick(4) === 0 ? { user: anybody() } : { group });
          });
          sent.push(...batch);
          return appendSurely(batch);
        }
      }
    }

    async function work(): Promise<void> {
      for (let n = 0; n < 60; n += 1) await act();
    }
    await Promise.all(Array.from({ length: 8 }, work));

    let checked = 0;
    for (const { id, owner, first } of groups) {
      const all = await logOf(owner, id);
      for (const person of people) {
        const share = shareOf(person, all, first.has(person));
        expect(await logOf(person, id), `seed ${seed}, user ${person}, group ${id}`).toEqual(share);
        checked += share.length;
      }
      const written = all.filter(({ kind }) => kind === "message.created").map(({ message: one }) => one);
      const { rows } = await sql<{ id: string }>`
        select id from messages where conversation_id = ${id} order by created_at, id
      `.execute(db);
      expect(
        rows.map((row) => row.id),
        `seed ${seed}, group ${id}`,
      ).toEqual(written);
    }
    expect(checked).toBeGreaterThan(500);
    const gaps = await sql`
      select b.id from inboxes b left join events e on e.inbox_id = b.id group by b.id, b.head
      having count(e.seq) <> b.head or coalesce(max(e.seq), 0) <> b.head
    `.execute(db);
    expect(gaps.rows, `seed ${seed}`).toEqual([]);
  },
);

it("has 100 groups of 256 overlapping members written to at once without a deadlock or a gap", { timeout: 120_000 }, async () => {
  const { rows } = await sql<{ id: number }>`
    with made as (
      insert into users (username, username_key, password_hash)
      select 'crowd ' || n, 'crowd ' || n, '' from generate_series(1, 400) as n returning id
    ),
    boxed as (insert into inboxes (user_id) select id from made)
    select id from made
  `.execute(db);
  const people = rows.map(({ id }) => id);
  const groups: { id: number; members: readonly number[] }[] = [];
  for (let n = 0; n < 100; n += 1) {
    const members = Array.from({ length: 256 }, (_, m) => people[(n * 37 + m) % people.length] as number);
    groups.push({ id: await makeGroup(members[0] as number, members.slice(1)), members });
  }
  const before = await sql<{ total: number }>`select sum(head)::bigint as total from inboxes`.execute(db);
  await Promise.all(
    groups.map(async ({ id, members }, n) => {
      for (let m = 0; m < 3; m += 1) await appendSurely([message(members[(n + m) % 256] as number, { group: id })]);
    }),
  );
  const after = await sql<{ total: number }>`select sum(head)::bigint as total from inboxes`.execute(db);
  expect((after.rows[0]?.total ?? 0) - (before.rows[0]?.total ?? 0)).toBe(100 * 3 * 255);
  const orders = await Promise.all(
    groups
      .slice(0, 10)
      .map(async ({ id, members }) =>
        Promise.all(members.slice(200, 205).map(async (member) => (await logOf(member, id)).map((event) => event.id))),
      ),
  );
  for (const [first, ...others] of orders) for (const order of others) expect(order).toEqual(first);
});

it("writes nothing to a group for somebody who takes no part in it, and the rest of the batch all the same", async () => {
  const [ada, bob, eve] = [await user(), await user(), await user()];
  const group = await makeGroup(ada, [bob]);
  const batch = [message(eve, { group }), message(ada, { group }), message(ada, { group: 2 ** 40 }), message(eve, { user: ada })];
  const { results, events } = await appendMessages(db, batch);
  expect(results.map(({ status }) => status)).toEqual(["no-receiver", "appended", "no-receiver", "appended"]);
  expect(new Set(events.map(({ messageId }) => messageId))).toEqual(new Set([batch[1]?.id, batch[3]?.id]));
  expect((await appendMessages(db, batch.slice(1, 2))).results).toMatchObject([{ status: "repeat" }]);
});

it("refuses a batch of a group that changed between the look at its members and the locks, so that it is appended again", async () => {
  const [ada, bob, eve] = [await user(), await user(), await user()];
  const group = await makeGroup(ada, [bob]);
  const { rows } = await sql<{ id: number }>`select id from inboxes where user_id = ${bob}`.execute(db);
  let appending: ReturnType<typeof appendMessages> | undefined;
  // As a change of members does: it has the inboxes, then the group; the append waits for the inboxes with an old look at the members.
  await db.transaction().execute(async (tx) => {
    await sql`select from inboxes where id = ${rows[0]?.id} for update`.execute(tx);
    appending = appendMessages(db, [message(ada, { group })]);
    for (;;) {
      const waiting =
        await sql`select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`.execute(db);
      if (waiting.rows.length > 0) break;
    }
    await sql`insert into participants (conversation_id, user_id, role, joined_at) values (${group}, ${eve}, 'member', now())`.execute(
      tx,
    );
    await sql`update conversations set members_version = members_version + 1 where id = ${group}`.execute(tx);
  });
  expect((await appending)?.results).toEqual([{ status: "stale" }]);
  const again = await appendMessages(db, [message(ada, { group })]);
  expect(again.events).toHaveLength(2);
});

it("lets one own a thousand groups, and no more", async () => {
  const ada = await user();
  await sql`
    with made as (insert into conversations (title) select ''::bytea from generate_series(1, 1000) returning id)
    insert into participants (conversation_id, user_id, role) select id, ${ada}, 'owner' from made
  `.execute(db);
  await expect(makeGroup(ada, [])).rejects.toThrow("full");
});

it("lets a hundred join at once, each of whom is told to all others", async () => {
  const ada = await user();
  const group = await makeGroup(ada, []);
  const invite = { id: ids.next(), token: EMPTY, tokenHash: Buffer.from(ids.next()), seconds: 60 };
  await createInvite(db, { conversation: group, by: ada, ...invite });
  const people: number[] = [];
  for (let n = 0; n < 100; n += 1) people.push(await user());
  const join = (by: number) => joinGroup(db, { conversation: group, by, tokenHash: invite.tokenHash, ...about(by) });
  const results = await Promise.all(people.map(join));
  expect(results.filter((result) => typeof result === "string")).toEqual([]);
  expect((await logOf(ada, group)).filter(({ kind }) => kind === "member.added")).toHaveLength(100);
});

it("leaves no group without an owner when an account is deleted that makes groups meanwhile", async () => {
  const [ada, bob] = [await user(), await user()];
  const groups = [await makeGroup(ada, [bob])];
  const making = (async () => {
    for (let n = 0; n < 30; n += 1) groups.push(await makeGroup(ada, [bob]));
  })().catch(() => undefined); // from some moment on there is no Ada
  await deleteUser(db, ada, () => about(ada));
  await making;
  for (const group of groups) {
    expect(await listMembers(db, bob, group)).toMatchObject({ members: [{ userId: bob, role: "owner" }] });
    expect((await logOf(bob, group)).at(-1)).toMatchObject({ kind: "member.left", about: ada });
  }
});

it("locks nothing for somebody who takes no part in a group", async () => {
  const [ada, bob, eve] = [await user(), await user(), await user()];
  const group = await makeGroup(ada, [bob]);
  await db.transaction().execute(async (tx) => {
    await sql`select from inboxes where user_id in (${ada}, ${bob}) for update`.execute(tx);
    expect(await renameGroup(db, { conversation: group, by: eve, title: EMPTY, ...about(0) })).toBe("no-conversation");
    expect(await renameGroup(db, { conversation: group, by: bob, title: EMPTY, ...about(0) })).toBe("forbidden");
  });
});

it("erases a group that everybody left, but not before every endpoint has what was written to it", async () => {
  const ada = await user();
  const group = await makeGroup(ada, []);
  await appendSurely([message(ada, { group })]);
  await removeMember(db, { conversation: group, by: ada, userId: ada, ...about(ada) });
  const left = async () => (await sql`select from messages where conversation_id = ${group}`.execute(db)).rows.length;
  await eraseAbandonedGroups(db, 30);
  expect(await left()).toBe(1);
  await sql`update abandoned_groups set at = now() - interval '31 days' where conversation_id = ${group}`.execute(db);
  await eraseAbandonedGroups(db, 30);
  expect(await left()).toBe(0);
  expect((await sql`select from conversations where id = ${group}`.execute(db)).rows).toEqual([]);
});

it("keeps out a thousand people, and no more", async () => {
  const [ada, eve] = [await user(), await user()];
  const group = await makeGroup(ada, []);
  await sql`
    insert into bans (conversation_id, user_id, by_user_id) select ${group}, 1000000 + n, ${ada} from generate_series(1, 999) as n
  `.execute(db);
  const change = { conversation: group, by: ada, ...about(0) };
  expect(await ban(db, { ...change, userId: eve })).toEqual({ events: [], outboxId: null });
  expect(await ban(db, { ...change, userId: await user() })).toBe("full");
  expect(await ban(db, { ...change, userId: eve })).toEqual({ events: [], outboxId: null }); // who is banned already
});

it("says of a message what became of it for each of those it was for", async () => {
  const [ada, bob, eve, gone] = [await user(), await user(), await user(), await user()];
  const group = await makeGroup(ada, [bob, eve, gone]);
  const one = message(ada, { group });
  await appendSurely([one]);
  await deleteUser(db, gone, () => about(gone));
  const states = async () => (await listDeliveries(db, one.id)).map(({ userId, state }) => [userId, state]);
  expect(await states()).toEqual([
    [bob, "held"],
    [eve, "held"],
  ]);
  await sql`
    insert into endpoints (inbox_id, address, kinds, secret)
    select id, 'http://one/', array['message.created'], ''::bytea from inboxes where user_id = ${bob}
  `.execute(db);
  expect((await states())[0]).toEqual([bob, "queued"]);
  await sql`update endpoints set cursor = 1, failures = 1, retry_at = now() from inboxes b where b.id = inbox_id and user_id = ${bob}`.execute(
    db,
  );
  expect((await listDeliveries(db, one.id))[0]).toMatchObject({ state: "retrying", retryAt: expect.any(Date) });
  await sql`
    insert into dead_letters (endpoint_id, seq, reason)
    select ep.id, 2, 'refused' from endpoints ep join inboxes b on b.id = ep.inbox_id where b.user_id = ${bob}
  `.execute(db);
  await sql`update endpoints set failures = 0, cursor = head from inboxes b where b.id = inbox_id and user_id = ${bob}`.execute(
    db,
  );
  expect((await states())[0]).toEqual([bob, "failed"]);
  // One that was attached after that has not taken it.
  await sql`
    insert into endpoints (inbox_id, address, kinds, secret, cursor, attached_at)
    select id, 'http://two/', array['message.created'], ''::bytea, head, head from inboxes where user_id = ${bob}
  `.execute(db);
  expect((await states())[0]).toEqual([bob, "failed"]);
  await sql`update endpoints set attached_at = 0 where address = 'http://two/'`.execute(db);
  expect((await states())[0]).toEqual([bob, "delivered"]);
});
