import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { appendMessages } from "./append-messages.ts";
import { createContact, deleteContact, listContacts, sendCode } from "./contacts.ts";
import { recordProgress } from "./deliveries.ts";
import { prune } from "./maintenance.ts";
import { createNotification, type NewNotification, renewAddress } from "./notifications.ts";
import { dropNotice, pruneNotices, takeNotices, tellNotice, type NoticeRow, withdrawNotice } from "./notices.ts";
import { progressOf } from "./progress-of-tests.ts";
import { openStore, type Store } from "./open-store.ts";
import { deleteUser } from "./users.ts";

let database: TestDatabase;
let store: Store;
beforeEach(async () => {
  database = await createTestDatabase(inject("databaseUrl"));
  store = await openStore({ url: database.url });
});
afterEach(async () => {
  await store.close();
  await database.drop();
});

/** With a session. */
async function user(): Promise<{ id: number; session: number }> {
  const { rows } = await sql<{ id: number; session: number }>`
    with u as (insert into users (username, username_key, password_hash) select n, n, '-' from (values (${randomUUID()}::text)) t (n) returning id),
    b as (insert into inboxes (user_id) select id from u)
    insert into sessions (user_id) select id from u returning user_id as id, id as session
  `.execute(store.db);
  return rows[0] as { id: number; session: number };
}

const SETTINGS = {
  showsContent: false,
  language: "en",
  delayS: 0,
  windowS: 300,
  quietFrom: null,
  quietUntil: null,
  timeZone: "UTC",
};
const KEYS = Buffer.alloc(81, 1);

/** What a browser does that subscribes. */
async function subscribe(by: { id: number; session: number }, address: string, keys = KEYS): ReturnType<typeof createContact> {
  const made = await createContact(store.db, {
    ...SETTINGS,
    userId: by.id,
    type: "push",
    address,
    subscription: { sealed: keys, isSame: ({ sealed }) => keys.equals(sealed), sessionId: by.session },
    token: { sealed: randomBytes(3), hash: randomBytes(32) },
    most: 20,
  });
  if (made.status === "made" && made.isRenewed) await renewAddress(store.db, address, () => keys);
  return made;
}
async function contactOf(by: { id: number; session: number }, address: string): Promise<number> {
  const made = await subscribe(by, address);
  if (made.status !== "made") throw new Error(made.status);
  return made.id;
}

const send = (from: { id: number }, to: { id: number }) =>
  appendMessages(store.db, [
    {
      id: randomUUID(),
      sentEventId: randomUUID(),
      senderId: from.id,
      to: { user: to.id },
      sessionId: 0,
      content: Buffer.from("x"),
      sentAt: Date.now(),
      requestKey: null,
    },
  ]);

const notification = (userId: number, address: string, purpose: "notice" | "code" = "notice"): NewNotification => ({
  id: randomUUID(),
  userId,
  type: address.startsWith("mailto:") ? "email" : "push",
  purpose,
  address,
  recipient: Buffer.alloc(1),
  data: Buffer.alloc(1),
  provider: "test",
  sendAt: null,
  sealSecret: () => KEYS,
  request: null,
});

const due = () => sql`update notices set due_at = now() - interval '1 second' where due_at is not null`.execute(store.db);
async function take(): Promise<NoticeRow> {
  await due();
  const { notices } = await takeNotices(store.db, 50);
  return notices[0] as NoticeRow;
}
const tell = (notice: NoticeRow) => tellNotice(store.db, notice, notification(notice.userId, notice.address), 30);
const count = async (table: string, where = sql`true`): Promise<number> => {
  const { rows } = await sql<{ n: number }>`select count(*)::integer as n from ${sql.table(table)} where ${where}`.execute(
    store.db,
  );
  return rows[0]?.n ?? -1;
};
const ADDRESS = "webpush:https://push.example/1";
const noNews = () => ({ kind: "member.left", eventId: randomUUID(), conversation: 0, data: null }) as never;

describe("a contact", () => {
  it("that is deleted takes what waits to be sent with it", async () => {
    const [ada, bob] = [await user(), await user()];
    const id = await contactOf(bob, ADDRESS);
    await send(ada, bob);
    expect((await tell(await take())).status).toBe("made");
    expect(await count("notifications")).toBe(1);
    await deleteContact(store.db, bob.id, id);
    expect([await count("notifications"), await count("notices")]).toEqual([0, 0]);
    expect(await count("events", sql`kind = 'notification.created' and data is not null`)).toBe(0);
  });

  it("that is deleted while it is being told is not told", async () => {
    const [ada, bob] = [await user(), await user()];
    const id = await contactOf(bob, ADDRESS);
    await send(ada, bob);
    const notice = await take();
    await deleteContact(store.db, bob.id, id);
    expect(await tell(notice)).toEqual({ status: "changed" });
    expect(await count("notifications")).toBe(0);
  });

  it("leaves no address behind, nor does the account", async () => {
    const bob = await user();
    for (let n = 0; n < 5; n += 1) await deleteContact(store.db, bob.id, await contactOf(bob, `${ADDRESS}${n}`));
    await contactOf(bob, ADDRESS);
    expect(await count("inboxes", sql`address like 'webpush:%'`)).toBe(1);
    await deleteUser(store.db, bob.id, noNews);
    await prune(store.db, 30);
    expect(await count("inboxes", sql`address is not null`)).toBe(0);
    expect(await count("contacts")).toBe(0);
  });

  it("keeps its address where somebody else who sent something there is deleted", async () => {
    const [ada, bob] = [await user(), await user()];
    await contactOf(bob, ADDRESS);
    await createNotification(store.db, notification(ada.id, ADDRESS));
    await deleteUser(store.db, ada.id, noNews);
    expect(await count("notifications")).toBe(0);
    expect(await count("inboxes", sql`address = ${ADDRESS}`)).toBe(1);
  });

  it("is one user's: a browser that somebody else signs in to is theirs, and nobody takes one by other keys", async () => {
    const [bob, eve] = [await user(), await user()];
    await contactOf(bob, ADDRESS);
    expect(await subscribe(eve, ADDRESS, Buffer.alloc(81, 2))).toEqual({ status: "taken" });
    expect(await listContacts(store.db, bob.id)).toHaveLength(1);
    await contactOf(eve, ADDRESS);
    expect(await listContacts(store.db, bob.id)).toEqual([]);
    expect(await listContacts(store.db, eve.id)).toHaveLength(1);
  });

  it("of a browser ends with its session", async () => {
    const [ada, bob] = [await user(), await user()];
    await contactOf(bob, ADDRESS);
    await sql`update sessions set revoked_at = now() where id = ${bob.session}`.execute(store.db);
    expect(await listContacts(store.db, bob.id)).toEqual([]);
    await send(ada, bob);
    expect(await take()).toMatchObject({ isWanted: false });
    await prune(store.db, 30);
    expect(await count("contacts")).toBe(0);
  });

  it("of a browser that is gone does not come back, fills no account, and is not in the way of one made anew", async () => {
    const bob = await user();
    const id = await contactOf(bob, ADDRESS);
    for (let n = 0; n < 19; n += 1) await contactOf(bob, `${ADDRESS}/${n}`);
    expect((await subscribe(bob, `${ADDRESS}/one-more`)).status).toBe("full");
    await sql`update endpoints set state = 'off', reason = 'gone', failing_since = now() - interval '8 days'`.execute(store.db);
    expect(await listContacts(store.db, bob.id)).toEqual([]);
    // A sender that found the old one gone goes on after it was made anew.
    await contactOf(bob, ADDRESS);
    expect(await deleteContact(store.db, bob.id, id, { onlyGone: true })).toBe(false);
    expect(await listContacts(store.db, bob.id)).toHaveLength(1);
  });

  it("keeps its settings where a browser subscribes again, and its endpoint where nothing is new", async () => {
    const bob = await user();
    const id = await contactOf(bob, ADDRESS);
    await sql`update contacts set quiet_from = 60, quiet_until = 120`.execute(store.db);
    expect(await subscribe(bob, ADDRESS)).toEqual({ status: "made", id, isNew: false, isRenewed: false });
    expect(await listContacts(store.db, bob.id)).toMatchObject([{ quietFrom: 60, quietUntil: 120 }]);
    expect(await subscribe(bob, ADDRESS, Buffer.alloc(81, 3))).toMatchObject({ isNew: false, isRenewed: true });
  });

  it("is made beside senders that write where endpoints stand, without deadlocks", { timeout: 60_000 }, async () => {
    const [other, bob] = [await user(), await user()];
    await contactOf(other, ADDRESS); // older than what is Bob's
    const { rows } = await sql<{ id: number }>`
      insert into endpoints (inbox_id, address, kinds, secret) select id, 'http://x', '{*}', '' from inboxes where user_id = ${bob.id} returning id
    `.execute(store.db);
    const own = rows[0]?.id as number;
    const { rows: ofAddress } = await sql<{ id: number }>`select id from endpoints where address = ${ADDRESS}`.execute(store.db);
    const progress = (id: number) => progressOf({ id, generation: 0 }, 0);
    const done = new AbortController();
    const writers = [1, 2, 3].map(async () => {
      while (!done.signal.aborted) await recordProgress(store.db, "s", [progress(ofAddress[0]?.id as number), progress(own)]);
    });
    for (let n = 0; n < 100; n += 1) await subscribe(n % 2 === 0 ? bob : other, ADDRESS);
    done.abort();
    await Promise.all(writers);
  });
});

describe("codes", () => {
  it("are five in an hour for a user and for an address, however many are asked for at once", async () => {
    const people = await Promise.all(Array.from({ length: 12 }, user));
    const codesTo = async (by: { id: number }, address: string): Promise<string> => {
      const made = await createContact(store.db, {
        ...SETTINGS,
        userId: by.id,
        type: "email",
        address,
        subscription: null,
        token: { sealed: randomBytes(3), hash: randomBytes(32) },
        most: 20,
      });
      if (made.status !== "made") return made.status;
      const code = { userId: by.id, contact: made.id, code: randomBytes(3), mostInADay: 18 };
      return (await sendCode(store.db, { ...code, notification: notification(by.id, address, "code") })).status;
    };
    const ada = people[0] as { id: number };
    const ofUser = await Promise.all(Array.from({ length: 12 }, (_, n) => codesTo(ada, `mailto:${n}@example.org`)));
    expect(ofUser.filter((status) => status === "made")).toHaveLength(5);
    const toAddress = await Promise.all(people.slice(1).map((one) => codesTo(one, "mailto:bob@example.org")));
    expect(toAddress.filter((status) => status === "made")).toHaveLength(5);
    // And by a channel in a day.
    const more = await Promise.all(people.slice(1).map((one, n) => codesTo(one, `mailto:more-${n}@example.org`)));
    expect(more.filter((status) => status === "made")).toHaveLength(8);
  });
});

describe("notices", () => {
  it("are told by one of two senders, and what comes meanwhile waits on", async () => {
    const [ada, bob] = [await user(), await user()];
    await contactOf(bob, ADDRESS);
    await send(ada, bob);
    const notice = await take();
    await send(ada, bob);
    const again = await take(); // a second one, as the first was silent for too long
    expect((await tell(notice)).status).toBe("made");
    expect(await tell(again)).toEqual({ status: "changed" });
    expect(await count("notifications")).toBe(1);
    expect(await take()).toMatchObject({ waiting: 1, isUnderWay: true, unread: 2 });
  });

  it("that are withdrawn count as not told", async () => {
    const [ada, bob] = [await user(), await user()];
    await contactOf(bob, ADDRESS);
    await send(ada, bob);
    await tell(await take());
    const told = await take();
    await withdrawNotice(store.db, told, told.notificationId as string, 0);
    expect(await take()).toMatchObject({ waiting: 1, sentAt: null, notificationId: null, isUnderWay: false });
    expect(await count("events", sql`kind = 'notification.created' and data is not null`)).toBe(0);
  });

  it("of contacts that are no more go, and hold up no others", async () => {
    const [ada, bob] = [await user(), await user()];
    await contactOf(bob, ADDRESS);
    await send(ada, bob);
    await sql`
      insert into notices (contact_id, conversation_id, due_at) select 1000000 + n, 1, now() - interval '1 hour' from generate_series(1, 60) n
    `.execute(store.db);
    await sql`update notices set due_at = now() - interval '1 second' where contact_id < 1000000`.execute(store.db);
    expect(await takeNotices(store.db, 50)).toEqual({ taken: 50, notices: [] });
    expect(await takeNotices(store.db, 50)).toMatchObject({ taken: 11, notices: [{ userId: bob.id }] });
    expect(await count("notices")).toBe(1);
  });

  it("are pruned beside appends that hold some of them", async () => {
    const [ada, bob] = [await user(), await user()];
    await contactOf(bob, ADDRESS);
    await send(ada, bob);
    await dropNotice(store.db, await take());
    await sql`update notices set sent_at = now() - interval '3 days'`.execute(store.db);
    const holding = store.db.transaction().execute(async (tx) => {
      await sql`select from notices for update`.execute(tx);
      await pruneNotices(store.db); // waits for nothing
      await sleep(0);
    });
    await holding;
    expect(await count("notices")).toBe(1);
    await pruneNotices(store.db);
    expect(await count("notices")).toBe(0);
  });

  it("and codes are forgotten after some days, with what they said", async () => {
    const [ada, bob] = [await user(), await user()];
    await contactOf(bob, ADDRESS);
    await send(ada, bob);
    await tell(await take());
    await sql`update notifications set created_at = now() - interval '3 days'`.execute(store.db);
    await prune(store.db, 30);
    expect(await count("notifications")).toBe(0);
    expect(await count("events", sql`kind = 'notification.created' and data is not null`)).toBe(0);
  });
});
