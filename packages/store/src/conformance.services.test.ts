import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIds, incarnationOf, systemClock, systemRandom } from "@messenger/core";
import { createTestDatabase, waitFor } from "@messenger/testkit";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { appendMessages, type NewMessage } from "./append-messages.ts";
import { readBacklog } from "./backlog.ts";
import {
  clearLevel,
  deferInboxes,
  endLeases,
  type EndpointRow,
  holdLeases,
  loadMailboxes,
  readEvents,
  recordProgress,
  repair,
  takeDue,
  takeLeases,
} from "./deliveries.ts";
import { isUnavailable } from "./errors.ts";
import { recoverFromFailOver } from "./fail-over.ts";
import { progressOf } from "./progress-of-tests.ts";
import { openStore, type Store } from "./open-store.ts";
import { deleteOutbox, takeOutbox } from "./outbox.ts";
import { prune } from "./maintenance.ts";
import { agree, migrate } from "./schema.ts";
import type { NewEndpoint } from "./endpoints.ts";
import { beginSession, endSession, recentRevocations, rotateRefresh } from "./sessions.ts";
import { createUser, deleteUser, findCredentials, findTaken, findUserByName, type NewUser } from "./users.ts";

const ids = createIds({ clock: systemClock, random: systemRandom });
const noEvent = () => ({ eventId: ids.next(), sealData: () => new Uint8Array() });

interface Opened {
  store: Store;
  close(): Promise<void>;
}

const backends: { name: string; open: () => Promise<Opened> }[] = [
  {
    name: "PostgreSQL",
    async open() {
      const database = await createTestDatabase(inject("databaseUrl"));
      return { store: database.store, close: () => database.drop() };
    },
  },
  {
    name: "PGlite",
    async open() {
      const folder = await mkdtemp(join(tmpdir(), "messenger-store-"));
      const store = await openStore({ url: `pglite:${folder}` });
      await migrate(store.db);
      return {
        store,
        async close() {
          await store.close();
          await rm(folder, { recursive: true });
        },
      };
    },
  },
];

describe.each(backends)("the store on $name", ({ open }) => {
  let opened: Opened;
  let store: Store;

  beforeAll(async () => {
    opened = await open();
    store = opened.store;
  });
  afterAll(() => opened.close());

  let names = 0;
  async function user(): Promise<{ id: number; inbox: number; name: string }> {
    names += 1;
    const name = `user${names}`;
    const made = await createUser(store.db, {
      username: name.toUpperCase(),
      usernameKey: name,
      phoneNumber: `phone ${names}`,
      phoneKey: `phone ${names}`,
      email: null,
      emailKey: null,
      fullName: null,
      passwordHash: "hash",
    });
    if (!("id" in made)) throw new Error("taken");
    const { rows } = await sql<{ id: number }>`select id from inboxes where user_id = ${made.id}`.execute(store.db);
    return { id: made.id, inbox: rows[0]?.id as number, name };
  }

  async function signIn(
    userId: number,
    address: string | null,
    publicKey: string | null = null,
    more: Partial<NewEndpoint> = {},
  ) {
    const session = await beginSession(store.db, {
      userId,
      passwordHash: null,
      refreshHash: () => systemRandom.bytes(32),
      refreshDays: 1,
      deviceName: null,
      publicKey,
      endpoint:
        address === null
          ? null
          : { address, kinds: ["message.created"], sealSecret: () => systemRandom.bytes(24), refusal: null, ...more },
    });
    if (session === null) throw new Error("no such user");
    return session;
  }

  function message(from: number, to: number, more: Partial<NewMessage> = {}): NewMessage {
    return {
      id: ids.next(),
      sentEventId: ids.next(),
      senderId: from,
      to: { user: to },
      sessionId: 0,
      content: Buffer.from("sealed"),
      sentAt: Date.UTC(2026, 0, 2),
      requestKey: null,
      ...more,
    };
  }

  async function endpointsOf(inbox: number) {
    return (await loadMailboxes(store.db, [inbox]))[0]?.endpoints ?? [];
  }

  let ada: { id: number; inbox: number; name: string };
  let bob: { id: number; inbox: number; name: string };
  beforeEach(async () => {
    ada = await user();
    bob = await user();
  });

  it("runs each migration once", async () => {
    expect(await migrate(store.db)).toEqual([]);
  });

  it("refuses settings that differ from those it was set up with, and takes a changed secret with the one before", async () => {
    const keyChecks = { current: "a", known: ["a"] };
    await agree(store.db, { partitions: 16, keyChecks });
    await agree(store.db, { partitions: 16, keyChecks });
    await expect(agree(store.db, { partitions: 8, keyChecks })).rejects.toThrow(/PARTITIONS/u);
    await expect(agree(store.db, { partitions: 16, keyChecks: { current: "b", known: ["b"] } })).rejects.toThrow(
      /MESSENGER_SECRET/u,
    );
    await agree(store.db, { partitions: 16, keyChecks: { current: "b", known: ["b", "a"] } });
    await agree(store.db, { partitions: 16, keyChecks: { current: "b", known: ["b"] } });
  });

  it("numbers an inbox's events without gaps, in one batch and across them", async () => {
    const first = await appendMessages(store.db, [message(ada.id, bob.id), message(bob.id, ada.id), message(ada.id, bob.id)]);
    const second = await appendMessages(store.db, [message(ada.id, bob.id)]);
    const seqs = [...first.events, ...second.events].filter((event) => event.inbox === bob.inbox).map((event) => event.seq);
    expect(seqs).toEqual([1, 2, 3]);
    expect(first.results.map((result) => result.status)).toEqual(["appended", "appended", "appended"]);
    const conversations = new Set([...first.events, ...second.events].map((event) => event.conversation));
    expect(conversations.size).toBe(1);
  });

  it("outlives a connection that breaks while a statement runs on it: the statement fails, and the next has another", async () => {
    if (store.embedded) return;
    const broken = sql`select pg_terminate_backend(pg_backend_pid()), pg_sleep(5)`.execute(store.db);
    await expect(broken).rejects.toSatisfy(isUnavailable);
    const inTransaction = store.db.transaction().execute(async (transaction) => {
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(transaction);
      await sql`select pg_terminate_backend(${rows[0]?.pid}::integer)`.execute(store.db);
      await waitFor(
        () =>
          sql`select 1`.execute(transaction).then(
            () => false,
            () => true,
          ),
        { what: "the connection to be gone" },
      );
      throw new Error("given up");
    });
    await expect(inTransaction).rejects.toThrow();
    await expect(sql`select 1`.execute(store.db)).resolves.toBeDefined();
  });

  it("numbers without gaps and without deadlock when many append to the same inboxes at once", async () => {
    const users = [ada, bob, await user(), await user()];
    const batches = Array.from({ length: 20 }, (_, n) =>
      Array.from({ length: 10 }, (_unused, m) => {
        const from = users[(n + m) % 4] as typeof ada;
        const to = users[(n * 3 + m * 7 + 1) % 4] as typeof ada;
        return message(from.id, to.id);
      }),
    );
    const appended = await Promise.all(batches.map((batch) => appendMessages(store.db, batch)));
    for (const { inbox } of users) {
      const seqs = appended.flatMap((batch) => batch.events.filter((event) => event.inbox === inbox).map((event) => event.seq));
      expect(seqs.sort((a, b) => a - b)).toEqual(seqs.map((_, n) => n + 1));
    }
  });

  it("covers every batch with an outbox row, until that is deleted", async () => {
    const batch = await appendMessages(store.db, [message(ada.id, bob.id), message(bob.id, ada.id)]);
    const { rows } = await sql<{ inbox_ids: number[] }>`select inbox_ids from outbox where id = ${batch.outboxId}`.execute(
      store.db,
    );
    expect(rows[0]?.inbox_ids.sort((a, b) => a - b)).toEqual([ada.inbox, bob.inbox]);
    await deleteOutbox(store.db, [batch.outboxId as number]);
    expect((await sql`select from outbox where id = ${batch.outboxId}`.execute(store.db)).rows).toEqual([]);
  });

  it("hands an outbox row that is due to one relay, and to another when that one did not finish", async () => {
    await sql`delete from outbox`.execute(store.db);
    await appendMessages(store.db, [message(ada.id, bob.id)]);
    expect(await takeOutbox(store.db, 10)).toEqual([]);
    await sql`update outbox set due_at = now() - interval '1 second'`.execute(store.db);
    const [row] = await takeOutbox(store.db, 10);
    expect(row?.inboxIds).toEqual([bob.inbox]);
    expect(await takeOutbox(store.db, 10)).toEqual([]);
    expect((await readBacklog(store.db)).outboxRows).toBe(1);
    await sql`update outbox set due_at = now() - interval '1 second'`.execute(store.db);
    expect(await takeOutbox(store.db, 10)).toEqual([row]);
  });

  it("says what waits, and for how long", async () => {
    await signIn(ada.id, "http://late.example/");
    await signIn(bob.id, "http://off.example/");
    await sql`delete from outbox`.execute(store.db);
    await sql`update endpoints set state = 'active', retry_at = null`.execute(store.db);
    expect(await readBacklog(store.db)).toMatchObject({
      outboxRows: 0,
      outboxAgeSeconds: 0,
      endpointsWaiting: 0,
      overdueSeconds: 0,
    });
    await appendMessages(store.db, [message(ada.id, bob.id)]);
    await sql`update outbox set created_at = now() - interval '90 seconds'`.execute(store.db);
    await sql`update endpoints set retry_at = now() - interval '7 seconds' where inbox_id = ${ada.inbox}`.execute(store.db);
    await sql`update endpoints set state = 'off' where inbox_id = ${bob.inbox}`.execute(store.db);
    const backlog = await readBacklog(store.db);
    expect(backlog).toMatchObject({ outboxRows: 1, endpointsWaiting: 1, endpointsOff: 1 });
    expect(backlog.outboxAgeSeconds).toBeCloseTo(90, -1);
    expect(backlog.overdueSeconds).toBeCloseTo(7, -1);
    await sql`update endpoints set retry_at = null`.execute(store.db);
  });

  it("writes nothing for an unknown receiver, and the others of its batch all the same", async () => {
    const batch = await appendMessages(store.db, [message(ada.id, 999_999), message(ada.id, bob.id)]);
    expect(batch.results.map((result) => result.status)).toEqual(["no-receiver", "appended"]);
    expect(batch.events).toHaveLength(1);
  });

  it("finds the first message for a repeat of its id or of its request key, also within one batch", async () => {
    const first = message(ada.id, bob.id, { requestKey: systemRandom.bytes(32) });
    const again = message(ada.id, bob.id, { requestKey: first.requestKey });
    const batch = await appendMessages(store.db, [first, again]);
    const [one, two] = batch.results;
    expect(new Set([one?.status, two?.status])).toEqual(new Set(["appended", "repeat"]));
    const repeated = await appendMessages(store.db, [first, message(ada.id, bob.id, { requestKey: first.requestKey })]);
    expect(repeated.events).toEqual([]);
    expect(repeated.outboxId).toBeNull();
    for (const result of repeated.results) {
      expect(result).toMatchObject({ status: "repeat", message: { seq: 1 } });
    }
  });

  it("tells the sender's other sessions of what was sent", async () => {
    const one = await signIn(ada.id, null);
    expect((await appendMessages(store.db, [message(ada.id, bob.id, { sessionId: one.sessionId })])).events).toHaveLength(1);
    await signIn(ada.id, null);
    const { events } = await appendMessages(store.db, [message(ada.id, bob.id, { sessionId: one.sessionId })]);
    expect(new Map(events.map((event) => [event.kind, event.inbox]))).toEqual(
      new Map([
        ["message.created", bob.inbox],
        ["message.sent", ada.inbox],
      ]),
    );
  });

  it("reads the logs of several inboxes after their cursors, in order", async () => {
    const content = Buffer.from([0, 1, 255, 34, 92]);
    await appendMessages(store.db, [message(ada.id, bob.id, { content }), message(ada.id, bob.id), message(bob.id, ada.id)]);
    const [bobs, adas, none] = await readEvents(
      store.db,
      [
        { inbox: bob.inbox, after: 0, limit: 1 },
        { inbox: ada.inbox, after: 0, limit: 1 },
        { inbox: ada.inbox, after: 1, limit: 1 },
      ],
      1_000,
    );
    expect(bobs?.map((event) => event.seq)).toEqual([1]);
    expect(Buffer.from(bobs?.[0]?.content ?? []).equals(content)).toBe(true);
    expect(adas).toHaveLength(1);
    expect(none).toEqual([]);
  });

  it("starts a first endpoint at what none has taken, and another one where the furthest is", async () => {
    await appendMessages(store.db, [message(ada.id, bob.id), message(ada.id, bob.id)]);
    await signIn(bob.id, "http://one/");
    const [one] = await endpointsOf(bob.inbox);
    expect(one?.cursor).toBe(0);
    await recordProgress(store.db, "s", [progressOf(one as never, 1)]);
    await signIn(bob.id, "http://two/");
    const endpoints = await endpointsOf(bob.inbox);
    expect(endpoints.map((endpoint) => [endpoint.address, endpoint.cursor])).toEqual([
      ["http://one/", 1],
      ["http://two/", 1],
    ]);
  });

  it("revives an endpoint at the furthest cursor, with a new generation and another secret", async () => {
    const session = await signIn(bob.id, "http://one/");
    const [before] = await endpointsOf(bob.inbox);
    await appendMessages(store.db, [message(ada.id, bob.id)]);
    await endSession(store.db, bob.id, session.sessionId);
    expect(await endpointsOf(bob.inbox)).toEqual([]);
    await signIn(bob.id, "http://one/");
    const [after] = await endpointsOf(bob.inbox);
    expect(after?.id).toBe(before?.id);
    expect(after?.cursor).toBe(0);
    expect(after?.generation).toBe((before?.generation ?? 0) + 2);
    expect(after?.previousSecret).toBeNull();
    expect(after?.secret).not.toBe(before?.secret);
  });

  it("gives an active endpoint's secret to every log-in with its address, but where it is to be renewed", async () => {
    const secrets: Buffer[] = [];
    for (let n = 0; n < 4; n += 1) secrets.push(Buffer.from((await signIn(bob.id, "http://one/")).secret?.sealed ?? []));
    expect(new Set(secrets.map((secret) => secret.toString("hex"))).size).toBe(1);
    const renewed = await signIn(bob.id, "http://one/", null, { renewSecret: true });
    expect(Buffer.from(renewed.secret?.sealed ?? [])).not.toEqual(secrets[0]);
  });

  it("takes a session that has expired for ended: its endpoint goes off, and nothing is written for it", async () => {
    const { sessionId } = await signIn(ada.id, "http://ada/");
    const other = await signIn(ada.id, null);
    const send = async (): Promise<string[]> =>
      (await appendMessages(store.db, [message(ada.id, bob.id, { sessionId: other.sessionId })])).events.map(({ kind }) => kind);
    expect(await send()).toEqual(expect.arrayContaining(["message.sent"]));
    await sql`update sessions set refresh_expires_at = now() - interval '1 second' where id = ${sessionId}`.execute(store.db);
    expect(await send()).toEqual(["message.created"]);
    expect(await endpointsOf(ada.inbox)).toHaveLength(1);
    await prune(store.db, 30);
    expect(await endpointsOf(ada.inbox)).toHaveLength(0);
    expect(await recentRevocations(store.db, 60)).toContain(sessionId);
  });

  it("keeps at most 100 sessions of a user, and ends the oldest", async () => {
    const others = await signIn(ada.id, "http://ada/");
    const first = await signIn(bob.id, "http://first/");
    const second = await signIn(bob.id, "http://second/");
    for (let n = 0; n < 98; n += 1) await signIn(bob.id, null);
    const ended = async () =>
      (await recentRevocations(store.db, 60)).filter((id) => id >= others.sessionId).toSorted((a, b) => a - b);
    const addresses = async () => (await endpointsOf(bob.inbox)).map(({ address }) => address);
    expect([await ended(), await addresses()]).toEqual([[], ["http://first/", "http://second/"]]);
    const { changed } = await signIn(bob.id, null);
    expect([await ended(), await addresses()]).toEqual([[first.sessionId], ["http://second/"]]);
    // The senders are told, though the session that begins has no endpoint.
    expect(changed?.inbox).toBe(bob.inbox);
    // One that has ended by itself makes room.
    await endSession(store.db, bob.id, second.sessionId);
    await signIn(bob.id, null);
    expect(await ended()).toEqual([first.sessionId, second.sessionId]);
  });

  it("keeps an endpoint that another session uses, and switches it off with the last", async () => {
    const one = await signIn(bob.id, "http://one/");
    const two = await signIn(bob.id, "http://one/");
    await endSession(store.db, bob.id, one.sessionId);
    expect(await endpointsOf(bob.inbox)).toHaveLength(1);
    await endSession(store.db, bob.id, two.sessionId);
    expect(await endpointsOf(bob.inbox)).toHaveLength(0);
    expect(await endSession(store.db, bob.id, two.sessionId)).toBeNull();
    expect(await recentRevocations(store.db, 60)).toEqual(expect.arrayContaining([one.sessionId, two.sessionId]));
  });

  it("keeps an endpoint that its owner keeps, whatever becomes of sessions", async () => {
    const session = await signIn(bob.id, "http://one/");
    await sql`update endpoints set kept_by = 'owner' where inbox_id = ${bob.inbox}`.execute(store.db);
    await endSession(store.db, bob.id, session.sessionId);
    expect(await endpointsOf(bob.inbox)).toHaveLength(1);
  });

  it("raises the inbox's version with every change of its endpoints, and appends tell it", async () => {
    const before = (await loadMailboxes(store.db, [bob.inbox]))[0]?.version as number;
    const session = await signIn(bob.id, "http://one/");
    expect(session.changed?.inbox).toBe(bob.inbox);
    const { events } = await appendMessages(store.db, [message(ada.id, bob.id)]);
    expect(events[0]?.version).toBe(before + 1);
    await endSession(store.db, bob.id, session.sessionId);
    expect((await loadMailboxes(store.db, [bob.inbox]))[0]?.version).toBe(before + 2);
  });

  describe("an endpoint that has work", () => {
    let endpoint: { id: number; generation: number };
    beforeEach(async () => {
      await signIn(bob.id, "http://one/");
      await appendMessages(store.db, [message(ada.id, bob.id), message(ada.id, bob.id)]);
      endpoint = (await endpointsOf(bob.inbox))[0] as never;
    });
    const due = async (): Promise<boolean | undefined> => (await endpointsOf(bob.inbox))[0]?.due;

    it("moves its cursor forward only", async () => {
      await recordProgress(store.db, "s", [progressOf(endpoint, 2)]);
      const [answer] = await recordProgress(store.db, "s", [progressOf(endpoint, 1)]);
      expect(answer).toMatchObject({ cursor: 2, due: false, active: true });
    });

    it("writes nothing for another generation but the attempts, and says so", async () => {
      const attempts = [
        { seq: 1, attempt: 1, at: 1_700_000_000_000, outcome: "delivered", status: 204, ms: 1.5, error: null, answer: null },
      ];
      const stale = { ...endpoint, generation: endpoint.generation - 1 };
      expect(await recordProgress(store.db, "s", [progressOf(stale, 2, { attempts, off: "late" })])).toEqual([null]);
      expect((await endpointsOf(bob.inbox))[0]).toMatchObject({ cursor: 0 });
      const { rows } = await sql`select seq, outcome from attempts where endpoint_id = ${endpoint.id}`.execute(store.db);
      expect(rows).toEqual([{ seq: 1, outcome: "delivered" }]);
    });

    it("can have the same batch written twice", async () => {
      const attempts = [
        { seq: 1, attempt: 1, at: 1_700_000_000_000, outcome: "rejected", status: 404, ms: 1, error: null, answer: null },
      ];
      const batch = [progressOf(endpoint, 1, { attempts, deadLetters: [{ seq: 1, reason: "answered 404" }] })];
      await recordProgress(store.db, "s", batch);
      await recordProgress(store.db, "s", batch);
      const tries = await sql`select from attempts where endpoint_id = ${endpoint.id}`.execute(store.db);
      const dead = await sql`select from dead_letters where endpoint_id = ${endpoint.id}`.execute(store.db);
      expect([tries.rows.length, dead.rows.length]).toEqual([1, 1]);
    });

    it("gives its lease to one sender, which keeps it until it lets go", async () => {
      const [mine] = await takeLeases(store.db, "one", [endpoint.id]);
      expect(mine).toMatchObject({ taken: true, endpoint: { cursor: 0 } });
      expect((await takeLeases(store.db, "two", [endpoint.id]))[0]).toMatchObject({ taken: false });
      expect((await takeLeases(store.db, "one", [endpoint.id]))[0]).toMatchObject({ taken: true });
      const [answer] = await recordProgress(store.db, "two", [progressOf(endpoint, 1, { retryInMs: 60_000 })]);
      expect(answer).toMatchObject({ cursor: 1, due: true, leased: false });
      expect(await recordProgress(store.db, "one", [progressOf(endpoint, 1, { renew: true })])).toMatchObject([{ leased: true }]);
    });

    it("clears its due time only for who holds the lease, and only at the head", async () => {
      await takeLeases(store.db, "one", [endpoint.id]);
      expect(await clearLevel(store.db, "one", [endpoint.id])).toEqual(["kept"]);
      await recordProgress(store.db, "one", [progressOf(endpoint, 2)]);
      expect(await clearLevel(store.db, "two", [endpoint.id])).toEqual(["lost"]);
      expect(await clearLevel(store.db, "one", [endpoint.id])).toEqual(["cleared"]);
      expect(await due()).toBe(false);
    });

    it("says that a lease is lost when it is given back twice, as after an answer that was lost", async () => {
      await takeLeases(store.db, "one", [endpoint.id]);
      await recordProgress(store.db, "one", [progressOf(endpoint, 2)]);
      await clearLevel(store.db, "one", [endpoint.id]);
      expect(await clearLevel(store.db, "one", [endpoint.id])).toEqual(["lost"]);
    });

    it("is held while a push is in flight, whatever becomes of it, and due once that has ended", async () => {
      expect(await holdLeases(store.db, "one", [endpoint.id, 999_999_999])).toEqual([true, false]);
      await signIn(bob.id, "http://one/"); // another generation
      expect((await takeLeases(store.db, "two", [endpoint.id]))[0]).toMatchObject({ taken: false });
      expect(await holdLeases(store.db, "two", [endpoint.id])).toEqual([false]);
      await endLeases(store.db, "two", [endpoint.id]);
      expect(await takeDue(store.db, 10)).toEqual([]);
      await endLeases(store.db, "one", [endpoint.id]);
      expect(await takeDue(store.db, 10)).toEqual([bob.inbox]);
    });

    it("keeps a lease over signing out and in again, and has no due time when it is ended in between", async () => {
      const { sessionId } = await signIn(bob.id, "http://other/");
      const other = (await endpointsOf(bob.inbox)).find(({ address }) => address === "http://other/") as EndpointRow;
      await holdLeases(store.db, "one", [other.id]);
      await endSession(store.db, bob.id, sessionId);
      await signIn(bob.id, "http://other/");
      expect((await takeLeases(store.db, "two", [other.id]))[0]).toMatchObject({ taken: false });
      await sql`update endpoints set state = 'off' where id = ${other.id}`.execute(store.db);
      await endLeases(store.db, "one", [other.id]);
      const left = await sql<{ retry_at: Date | null }>`select retry_at from endpoints where id = ${other.id}`.execute(store.db);
      expect(left.rows).toEqual([{ retry_at: null }]);
    });

    it("is due in a second when its inbox is deferred while it is behind", async () => {
      await deferInboxes(store.db, [bob.inbox]);
      expect(await takeDue(store.db, 10)).toEqual([]);
      await waitFor(async () => (await takeDue(store.db, 10)).length === 1, { what: "it to be due" });
    });

    it("is due in a second, too, when it is deferred for a wake that the relay published", async () => {
      await recordProgress(store.db, "one", [progressOf(endpoint, 0, { retryInMs: 0 })]);
      expect(await takeDue(store.db, 10)).toEqual([bob.inbox]);
      await deferInboxes(store.db, [bob.inbox]);
      await waitFor(async () => (await takeDue(store.db, 10)).length === 1, { what: "it to be due", timeoutMs: 10_000 });
      await holdLeases(store.db, "one", [endpoint.id]);
      await deferInboxes(store.db, [bob.inbox]);
      expect((await takeLeases(store.db, "two", [endpoint.id]))[0]).toMatchObject({ taken: false }); // a sender's stays
    });

    it("counts how it has been failing across another log-in", async () => {
      await recordProgress(store.db, "one", [progressOf(endpoint, 0, { failures: 7, retryInMs: 60_000 })]);
      await signIn(bob.id, "http://one/");
      const [now] = await endpointsOf(bob.inbox);
      expect(now).toMatchObject({ failures: 1, failingSince: null, due: false });
    });

    it("keeps its due time where an event is appended while its lease is given back", async () => {
      // Two sessions: the second statement takes its snapshot before the first commits, and waits for the inbox's lock.
      if (store.embedded) return;
      await takeLeases(store.db, "one", [endpoint.id]);
      await recordProgress(store.db, "one", [progressOf(endpoint, 2)]);
      const appended = Promise.withResolvers<void>();
      const commit = Promise.withResolvers<void>();
      const appending = store.db.transaction().execute(async (transaction) => {
        await appendMessages(transaction, [message(ada.id, bob.id)]);
        appended.resolve();
        await commit.promise;
      });
      await appended.promise;
      const clearing = clearLevel(store.db, "one", [endpoint.id]);
      await waitFor(
        async () => {
          const waiting =
            await sql`select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`.execute(
              store.db,
            );
          return waiting.rows.length === 1;
        },
        { what: "the second session to wait for the first" },
      );
      commit.resolve();
      await appending;
      expect(await clearing).toEqual(["kept"]);
      expect(await due()).toBe(true);
    });

    it("gets a due time when asked for, and keeps the one it has", async () => {
      expect((await recordProgress(store.db, "s", [progressOf(endpoint, 0, { ensureDue: true })]))[0]).toMatchObject({
        due: true,
      });
      await recordProgress(store.db, "s", [progressOf(endpoint, 0, { retryInMs: 60_000 })]);
      await recordProgress(store.db, "s", [progressOf(endpoint, 0, { ensureDue: true })]);
      expect(await takeDue(store.db, 10)).toEqual([]);
    });

    it("is handed to one relay when its time has come, and then to whoever takes the lease", async () => {
      await recordProgress(store.db, "s", [progressOf(endpoint, 0, { retryInMs: 0 })]);
      expect(await takeDue(store.db, 10)).toEqual([bob.inbox]);
      expect(await takeDue(store.db, 10)).toEqual([]);
      expect((await takeLeases(store.db, "one", [endpoint.id]))[0]).toMatchObject({ taken: true });
    });

    it("has no due time once it is off, and is not loaded", async () => {
      await recordProgress(store.db, "s", [progressOf(endpoint, 0, { retryInMs: 0 })]);
      const [answer] = await recordProgress(store.db, "s", [progressOf(endpoint, 0, { off: "gone" })]);
      expect(answer).toMatchObject({ active: false, due: false });
      expect(await endpointsOf(bob.inbox)).toEqual([]);
      expect(await takeDue(store.db, 10)).toEqual([]);
      expect(await takeLeases(store.db, "one", [endpoint.id])).toEqual([null]);
    });

    it("is made due by a repair of its partition while it is behind, and not by another's", async () => {
      const partition = bob.inbox % 4;
      await repair(store.db, { partitions: [(partition + 1) % 4], of: 4 });
      expect(await due()).toBe(false);
      await repair(store.db, { partitions: [(partition + 2) % 4, partition], of: 4 });
      expect(await due()).toBe(true);
    });

    it("is left alone by a repair when it is level", async () => {
      await recordProgress(store.db, "s", [progressOf(endpoint, 2)]);
      await repair(store.db);
      expect(await due()).toBe(false);
    });
  });

  it("reads events without a message, of kinds that it does not know, and up to so many bytes", async () => {
    await appendMessages(store.db, [message(ada.id, bob.id), message(ada.id, bob.id), message(ada.id, bob.id)]);
    await sql`
      insert into events (inbox_id, seq, id, kind) values (${bob.inbox}, 4, gen_random_uuid(), 'receipt.read')
    `.execute(store.db);
    await sql`update inboxes set head = 4 where id = ${bob.inbox}`.execute(store.db);
    const read = async (after: number, maxBytes: number) =>
      (await readEvents(store.db, [{ inbox: bob.inbox, after, limit: 10 }], maxBytes))[0]?.map(({ seq }) => seq);
    expect(await read(0, 1_000)).toEqual([1, 2, 3, 4]);
    const [first] = (await readEvents(store.db, [{ inbox: bob.inbox, after: 0, limit: 1 }], 1))[0] ?? [];
    const bytes = first?.content.length as number;
    expect([await read(0, 1), await read(0, bytes), await read(0, bytes + 1)]).toEqual([[1], [1], [1, 2]]);
    const [last] = (await readEvents(store.db, [{ inbox: bob.inbox, after: 3, limit: 1 }], 1))[0] ?? [];
    expect(last).toMatchObject({ kind: "receipt.read", messageId: null, conversation: null });
    expect(last?.content).toHaveLength(0);
  });

  it("begins another incarnation, in which nothing counts that was known before, and no id is given out again", async () => {
    await signIn(bob.id, "http://bob/");
    const { events: before } = await appendMessages(store.db, [message(ada.id, bob.id), message(ada.id, bob.id)]);
    const [known] = await endpointsOf(bob.inbox);
    // The last event was lost, and the cursor was written beyond what is left.
    await sql`delete from events where inbox_id = ${bob.inbox} and seq = 2`.execute(store.db);
    await sql`update inboxes set head = 1 where id = ${bob.inbox}`.execute(store.db);
    await sql`update endpoints set cursor = 2 where inbox_id = ${bob.inbox}`.execute(store.db);
    await recoverFromFailOver(store.db);
    const [now] = await endpointsOf(bob.inbox);
    expect(now).toMatchObject({ cursor: 1 });
    expect(await recordProgress(store.db, "s", [progressOf(known as EndpointRow, 2)])).toEqual([null]);
    expect(await recordProgress(store.db, "s", [progressOf(now as EndpointRow, 1)])).toMatchObject([{ cursor: 1 }]);
    const { events: after, outboxId } = await appendMessages(store.db, [message(ada.id, bob.id)]);
    expect(after).toMatchObject([{ seq: 2 }]);
    expect(incarnationOf(after[0]?.version as number)).toBe(incarnationOf(before[0]?.version as number) + 1);
    expect(outboxId).toBeGreaterThan(2 ** 30);
    const made = await user();
    expect(made.id).toBeGreaterThan(2 ** 30);
    const [read] = (await readEvents(store.db, [{ inbox: bob.inbox, after: 1, limit: 1 }], 1))[0] ?? [];
    expect(incarnationOf(read?.version as number)).toBe(incarnationOf(after[0]?.version as number));
  });

  it("keeps names apart from each other, and says which is taken", async () => {
    const names = {
      username: "X",
      usernameKey: "x",
      phoneNumber: null,
      phoneKey: null,
      email: null,
      emailKey: null,
      fullName: null,
    };
    await createUser(store.db, { ...names, passwordHash: "h" });
    expect(await createUser(store.db, { ...names, passwordHash: "h" })).toEqual({ taken: "username" });
  });

  it("finds a user by name, with the public key of the newest session that has one", async () => {
    await signIn(bob.id, null, "first");
    const session = await signIn(bob.id, null, "second");
    await signIn(bob.id, null);
    await endSession(store.db, bob.id, session.sessionId);
    expect(await findUserByName(store.db, bob.name)).toMatchObject({ id: bob.id, publicKey: "second" });
    expect(await findUserByName(store.db, "nobody")).toBeNull();
  });

  it("gives nobody a name that is another's phone number or e-mail address, whichever came first", async () => {
    const none = {
      username: null,
      usernameKey: null,
      phoneNumber: null,
      phoneKey: null,
      email: null,
      emailKey: null,
      fullName: null,
    };
    const make = (keys: Partial<NewUser>) => createUser(store.db, { ...none, passwordHash: "h", ...keys });
    expect(await make({ usernameKey: `phone ${names}`, phoneKey: "p1" })).toEqual({ taken: "username" });
    expect(await make({ usernameKey: "fresh", phoneKey: bob.name })).toEqual({ taken: "phone_number" });
    expect(await findTaken(store.db, { ...none, usernameKey: "fresh", phoneKey: bob.name })).toBe("phone_number");
    expect(await findTaken(store.db, { ...none, usernameKey: "fresh", phoneKey: "p1" })).toBeUndefined();
    const both = await Promise.all([
      make({ usernameKey: "race-1", phoneKey: "race-2" }),
      make({ usernameKey: "race-2", phoneKey: "race-1" }),
    ]);
    expect(both.filter((made) => "id" in made)).toHaveLength(1);
    const found = await findCredentials(store.db, { usernameKey: null, emailKey: null, phoneKey: `phone ${names}` });
    expect(found?.id).toBe(bob.id);
    await deleteUser(store.db, bob.id, noEvent);
    expect("id" in (await make({ usernameKey: bob.name, phoneKey: `phone ${names}` }))).toBe(true);
  });

  it("gives a repeat of a refresh the same answer for 30 s, and notices a later one", async () => {
    const [first, second, third] = [systemRandom.bytes(32), systemRandom.bytes(32), systemRandom.bytes(32)];
    const none = { passwordHash: null, deviceName: null, publicKey: null, endpoint: null };
    const begun = await beginSession(store.db, { ...none, userId: bob.id, refreshHash: () => first, refreshDays: 1 });
    const sessionId = begun?.sessionId as number;
    const rotate = async (presented: Uint8Array, ...successors: [Uint8Array, ...Uint8Array[]]) => {
      const result = await rotateRefresh(store.db, { sessionId, presented, successors, refreshDays: 1 });
      return result.status === "refreshed" ? Buffer.from(result.refreshHash).toString("hex") : result.status;
    };
    const hex = (hash: Uint8Array): string => Buffer.from(hash).toString("hex");
    expect(await rotate(first, second)).toBe(hex(second));
    expect(await rotate(second, third)).toBe(hex(third));
    expect(await rotate(second, third)).toBe(hex(third));
    // By a process that replaces tokens by others, and knows of this one's.
    expect(await rotate(second, systemRandom.bytes(32), third)).toBe(hex(third));
    expect(await rotate(second, systemRandom.bytes(32))).toBe("reused");
    expect(await rotate(first, second)).toBe("reused");
    await sql`update sessions set refreshed_at = refreshed_at - interval '31 seconds' where id = ${sessionId}`.execute(store.db);
    expect(await rotate(second, third)).toBe("reused");
    const nobodys = { sessionId: 999_999_999, presented: second, successors: [third] as const, refreshDays: 1 };
    expect(await rotateRefresh(store.db, nobodys)).toEqual({ status: "unknown" });
  });

  it("deletes a user with inbox and endpoints, revokes the sessions, and leaves what others received", async () => {
    const session = await signIn(ada.id, "http://ada/");
    await appendMessages(store.db, [message(ada.id, bob.id), message(bob.id, ada.id)]);
    expect(await deleteUser(store.db, ada.id, noEvent)).toEqual({ isDeleted: true, told: [] });
    expect(await deleteUser(store.db, ada.id, noEvent)).toEqual({ isDeleted: false, told: [] });
    expect(await loadMailboxes(store.db, [ada.inbox])).toEqual([]);
    expect(await recentRevocations(store.db, 60)).toContain(session.sessionId);
    expect((await sql`select from inboxes where id = ${ada.inbox}`.execute(store.db)).rows).toEqual([]);
    expect((await appendMessages(store.db, [message(bob.id, ada.id)])).results).toEqual([{ status: "no-receiver" }]);
    expect((await readEvents(store.db, [{ inbox: bob.inbox, after: 0, limit: 10 }], 1_000))[0]).toHaveLength(1);
  });

  it("finishes later what broke off in the middle of erasing an account, which has ended all the same", async () => {
    const session = await signIn(ada.id, "http://ada/");
    await appendMessages(store.db, [message(ada.id, bob.id), message(bob.id, ada.id)]);
    const [endpoint] = await endpointsOf(ada.inbox);
    await recordProgress(store.db, "s", [
      progressOf(endpoint as EndpointRow, 1, {
        attempts: [{ seq: 1, attempt: 1, at: Date.now(), outcome: "rejected", status: 400, ms: 1, error: null, answer: null }],
        deadLetters: [{ seq: 1, reason: "rejected" }],
      }),
    ]);
    const left = async () => {
      const { rows } = await sql<Record<string, number>>`
        select (select count(*) from inboxes where id = ${ada.inbox})::int as inboxes,
          (select count(*) from endpoints where inbox_id = ${ada.inbox})::int as endpoints,
          (select count(*) from events where inbox_id = ${ada.inbox})::int as events,
          (select count(*) from attempts where endpoint_id = ${endpoint?.id})::int as attempts,
          (select count(*) from dead_letters where endpoint_id = ${endpoint?.id})::int as dead
      `.execute(store.db);
      return rows[0];
    };
    await sql`create function break_off() returns trigger language plpgsql as 'begin raise exception ''broken off''; end'`.execute(
      store.db,
    );
    await sql`create trigger break_off before delete on events for each row execute function break_off()`.execute(store.db);
    await expect(deleteUser(store.db, ada.id, noEvent)).rejects.toThrow("broken off");
    expect(await left()).toEqual({ inboxes: 1, endpoints: 1, events: 2, attempts: 0, dead: 0 });
    expect(await findCredentials(store.db, { usernameKey: ada.name, emailKey: null, phoneKey: null })).toBeNull();
    expect(await recentRevocations(store.db, 60)).toContain(session.sessionId);
    expect(await endpointsOf(ada.inbox)).toEqual([]);
    expect((await appendMessages(store.db, [message(bob.id, ada.id)])).results).toEqual([{ status: "no-receiver" }]);
    expect(await deleteUser(store.db, ada.id, noEvent)).toEqual({ isDeleted: false, told: [] });

    await sql`drop function break_off cascade`.execute(store.db);
    await prune(store.db, 30);
    expect(await left()).toEqual({ inboxes: 0, endpoints: 0, events: 0, attempts: 0, dead: 0 });
    expect((await readEvents(store.db, [{ inbox: bob.inbox, after: 0, limit: 10 }], 1_000))[0]).toHaveLength(1);
  });

  it("prunes old attempts and sessions, but not the one that gives a user's public key", async () => {
    const keyed = await signIn(bob.id, "http://bob/", "the key");
    const plain = await signIn(bob.id, null);
    for (const { sessionId } of [keyed, plain]) await endSession(store.db, bob.id, sessionId);
    await sql`update sessions set revoked_at = now() - interval '40 days' where user_id = ${bob.id}`.execute(store.db);
    const at = Date.now() - 40 * 24 * 3600 * 1000;
    const attempts = [at, Date.now()].map((when) => ({
      seq: 1,
      attempt: 1,
      at: when,
      outcome: "delivered",
      status: 204,
      ms: 1,
      error: null,
      answer: null,
    }));
    await recordProgress(store.db, "s", [progressOf({ id: 4_242_424, generation: 0 }, 1, { attempts })]);
    await prune(store.db, 30);
    const left = await sql<{ id: number }>`select id from sessions where user_id = ${bob.id}`.execute(store.db);
    expect(left.rows.map((row) => row.id)).toEqual([keyed.sessionId]);
    expect((await sql`select from attempts where endpoint_id = 4242424`.execute(store.db)).rows).toHaveLength(1);
  });

  it("keeps statements from elsewhere out of a transaction that is undone", async () => {
    const failing = store.db.transaction().execute(async (tx) => {
      await sql`insert into meta (key, value) values ('inside', '1')`.execute(tx);
      await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error("undo");
    });
    const outside = sql`insert into meta (key, value) values ('outside', '1')`.execute(store.db);
    await expect(failing).rejects.toThrow("undo");
    await outside;
    const { rows } = await sql<{ key: string }>`select key from meta where key in ('inside', 'outside')`.execute(store.db);
    expect(rows.map((row) => row.key)).toEqual(["outside"]);
  });
});
