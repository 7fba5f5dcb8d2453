import { type Broker, type Consumer, type ConsumeOptions, openBroker } from "@messenger/broker";
import type { Channel, Push, PushResult } from "@messenger/channels";
import { createIds, createKeyring, type QueueMessage, systemClock, systemRandom, webhookSecretContext } from "@messenger/core";
import { createRegistry } from "@messenger/runtime";
import {
  appendMessages,
  beginSession,
  createUser,
  endSession,
  type NewMessage,
  type Progress,
  replayDeadLetters,
  takeLeases,
} from "@messenger/store";
import { createTestDatabase, type TestDatabase, waitFor } from "@messenger/testkit";
import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { createSenderMetrics } from "./metrics.ts";
import { type Sender, type SenderOptions, type SenderStore, startSender } from "./sender.ts";
import { senderStore } from "./store.ts";

const OK: PushResult = { result: "delivered", status: 204 };
const ids = createIds({ clock: systemClock, random: systemRandom });
const keyring = createKeyring({ secret: "a secret of the tests, of more than 32 bytes", random: systemRandom });

/** A sender on a real database, with the broker in this process, and a channel that answers as the test says. */
describe("a sender", () => {
  let database: TestDatabase;
  let broker: Broker;
  let sender: Sender;
  let pushes: Push[];
  let answer: (push: Push) => Promise<PushResult>;
  let acknowledged: QueueMessage[];
  /** Added to the monotonic clock. */
  let skew: number;
  /** Says that the broker's connection was lost; what was not acknowledged has to be published again. */
  let loseConnection: () => void;
  let loads: number;
  let reads: number;
  let mailboxes: () => number;
  /** What reading endpoints waits for. */
  let beforeLoad: () => Promise<void>;
  /** Whether the database refuses these reports. */
  let refuse: (reports: readonly Progress[]) => boolean;
  let names = 0;
  let ada: number;
  let bob: { id: number; inbox: number };

  beforeAll(async () => {
    database = await createTestDatabase(inject("databaseUrl"));
  });
  afterAll(() => database.drop());

  beforeEach(async () => {
    pushes = [];
    acknowledged = [];
    answer = () => Promise.resolve(OK);
    skew = 0;
    loads = 0;
    reads = 0;
    beforeLoad = () => Promise.resolve();
    refuse = () => false;
    ada = (await user()).id;
    bob = await user();
    broker = await openBroker({
      url: "in-process:",
      partitions: 1,
      sealer: keyring.bundles,
      coverPartitions: () => Promise.resolve(),
      onProblem: () => undefined,
    });
    sender = await start("sender");
  });
  afterEach(async () => {
    await sender.stop();
    await broker.close();
    await sql`truncate endpoints, outbox cascade`.execute(database.store.db);
  });

  /** How many of these people have an active endpoint that is behind. */
  async function behind(people: readonly { inbox: number }[]): Promise<number> {
    const { rows } = await sql`
      select from endpoints e join inboxes b on b.id = e.inbox_id
      where b.id = any(${people.map(({ inbox }) => inbox)}::bigint[]) and e.state = 'active' and e.cursor < b.head
    `.execute(database.store.db);
    return rows.length;
  }

  function start(name: string, more: Partial<SenderOptions> = {}, onto: Broker = broker): Promise<Sender> {
    const metrics = createSenderMetrics(createRegistry());
    const channel: Channel = {
      name: "webhook",
      vet: () => undefined,
      laneKey: (address) => address,
      prepare: ({ address }) => ({ address }),
      push(push) {
        pushes.push(push);
        return answer(push);
      },
      close: () => Promise.resolve(),
    };
    return startSender({
      name,
      store: counting(senderStore(database.store.db, false)),
      broker: watching(onto),
      channels: { channelFor: () => channel, vet: () => undefined, providers: [], close: () => channel.close() },
      keyring,
      clock: { ...systemClock, monotonic: () => systemClock.monotonic() + skew },
      random: systemRandom,
      log: {
        info: () => undefined,
        warn: () => undefined,
        error(details, message) {
          if (!message.startsWith("the database refuses a report")) expect.fail(`${message}: ${JSON.stringify(details)}`);
        },
      },
      metrics: {
        ...metrics,
        observe(sources) {
          mailboxes = () => sources.mailboxes().size;
          metrics.observe(sources);
        },
      },
      maxInFlight: 8,
      maxMailboxes: 100,
      partitions: 1,
      keepAnswers: "all",
      keepAttemptsDays: 30,
      ...more,
    });
  }

  /** The store, counting how often inboxes are read. */
  function counting(store: SenderStore): SenderStore {
    return {
      ...store,
      async loadMailboxes(inboxes) {
        const rows = await store.loadMailboxes(inboxes);
        loads += 1;
        await beforeLoad();
        return rows;
      },
      readEvents(wanted, maxBytes) {
        reads += 1;
        return store.readEvents(wanted, maxBytes);
      },
      async recordProgress(by, reports) {
        if (refuse(reports)) throw Object.assign(new Error("invalid byte sequence"), { code: "22021" });
        return store.recordProgress(by, reports);
      },
    };
  }

  /** The broker, noting what is acknowledged. */
  function watching(real: Broker): Broker {
    return {
      ...real,
      consume(options: ConsumeOptions): Promise<Consumer> {
        loseConnection = () => options.onLost();
        return real.consume({
          ...options,
          onDelivery(delivery) {
            options.onDelivery({
              message: delivery.message,
              ack() {
                acknowledged.push(delivery.message);
                delivery.ack();
              },
            });
          },
        });
      },
    };
  }

  async function user(): Promise<{ id: number; inbox: number }> {
    names += 1;
    const name = `user${names}`;
    const none = { phoneNumber: null, phoneKey: null, email: null, emailKey: null, fullName: null };
    const made = await createUser(database.store.db, { ...none, username: name, usernameKey: name, passwordHash: "h" });
    const id = (made as { id: number }).id;
    const { rows } = await sql<{ id: number }>`select id from inboxes where user_id = ${id}`.execute(database.store.db);
    return { id, inbox: rows[0]?.id as number };
  }

  async function logIn(address: string, userId = bob.id): Promise<number> {
    const begun = await beginSession(database.store.db, {
      userId,
      passwordHash: null,
      refreshHash: () => systemRandom.bytes(32),
      refreshDays: 1,
      deviceName: null,
      publicKey: null,
      endpoint: {
        address,
        kinds: ["message.created"],
        sealSecret: (inbox) => keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), systemRandom.bytes(24)),
        refusal: null,
      },
    });
    return begun?.sessionId as number;
  }

  /** Appends messages to an inbox, bob's unless another is named; returns their events, to be published or not. */
  async function append(count: number, receiverId = bob.id): Promise<QueueMessage[]> {
    const content = Buffer.from(JSON.stringify({ message: "m" }));
    const messages = Array.from({ length: count }, (): NewMessage => {
      const id = ids.next();
      return {
        id,
        sentEventId: ids.next(),
        senderId: ada,
        to: { user: receiverId },
        sessionId: 0,
        content: keyring.contents.seal(id, content),
        sentAt: 0,
        requestKey: null,
      };
    });
    const { events } = await appendMessages(database.store.db, messages);
    return events.map((event) => ({ type: "event", ...event, content, sealed: false }));
  }

  const seqs = () => pushes.map(({ event }) => event.seq);
  const acked = () => acknowledged.map((message) => (message.type === "event" ? message.seq : "wake"));

  async function endpoint(): Promise<{ cursor: number; state: string; due: boolean; leased: string | null }> {
    const { rows } = await sql<{ cursor: number; state: string; due: boolean; leased: string | null }>`
      select cursor, state, retry_at is not null as due, lease_by as leased from endpoints where inbox_id = ${bob.inbox} order by id limit 1
    `.execute(database.store.db);
    return rows[0] as never;
  }

  it("pushes an event from the broker, and acknowledges it once its cursor is committed", async () => {
    await logIn("http://a/");
    await broker.publish(await append(3));
    await waitFor(() => acknowledged.length === 3, { what: "three acknowledgements" });
    expect(seqs()).toEqual([1, 2, 3]);
    expect(acked()).toEqual([1, 2, 3]);
    expect(await endpoint()).toMatchObject({ cursor: 3, due: false });
  });

  it("pushes dead letters again, before what comes next", async () => {
    await logIn("http://a/");
    answer = ({ event }) => Promise.resolve(event.seq % 2 === 0 ? { result: "rejected", status: 422, isFinal: true } : OK);
    await broker.publish(await append(6));
    await waitFor(async () => (await endpoint()).cursor === 6, { what: "all six" });
    const letters = async () => {
      const { rows } = await sql<{ seq: number; asked: boolean }>`select seq, asked from dead_letters order by seq`.execute(
        database.store.db,
      );
      return rows;
    };
    expect((await letters()).map(({ seq }) => seq)).toEqual([2, 4, 6]);

    // One that is rejected again, and one that is taken, while more comes.
    answer = ({ event }) => Promise.resolve(event.seq === 2 ? { result: "rejected", status: 422, isFinal: true } : OK);
    pushes = [];
    const { id } = (await sql<{ id: number }>`select id from endpoints where inbox_id = ${bob.inbox}`.execute(database.store.db))
      .rows[0] as { id: number };
    for (const seq of [2, 4]) {
      const asked = await replayDeadLetters(database.store.db, bob.id, id, { seq });
      expect(asked?.count).toBe(1);
    }
    await broker.publish([...(await append(1)), { type: "wake", inbox: bob.inbox }]);
    await waitFor(async () => (await endpoint()).cursor === 7 && !(await endpoint()).due, { what: "what is asked for" });
    expect(seqs()).toEqual([2, 4, 7]);
    expect(await letters()).toEqual([
      { seq: 2, asked: false },
      { seq: 6, asked: false },
    ]);
    expect(await replayDeadLetters(database.store.db, bob.id, id, { since: new Date(Date.now() + 60_000) })).toMatchObject({
      count: 0,
    });
    expect(await replayDeadLetters(database.store.db, ada, id, "all")).toBeNull();
  });

  it("acknowledges what nobody receives", async () => {
    await broker.publish(await append(1));
    await waitFor(() => acknowledged.length === 1, { what: "the acknowledgement" });
    expect(pushes).toEqual([]);
  });

  it("lets go of what it holds for receivers that take long to answer, so that others of their partition are pushed to", async () => {
    const [carol, dave] = [await user(), await user()];
    await logIn("http://slow-1/");
    await logIn("http://slow-2/", carol.id);
    await logIn("http://quick/", dave.id);
    const gate = Promise.withResolvers<void>();
    answer = (push) => (push.target.address.includes("slow") ? gate.promise.then(() => OK) : Promise.resolve(OK));
    // Together as many as a sender may hold of a partition, and for each of them fewer than its lane has room for.
    for (const event of [...(await append(6)), ...(await append(6, carol.id))]) await broker.publish([event]);
    await waitFor(() => pushes.length === 2, { what: "a push to each of the slow ones" });
    await broker.publish(await append(1, dave.id));
    await waitFor(() => pushes.some(({ target }) => target.address.includes("quick")), { what: "the push to the quick one" });
    gate.resolve();
    await waitFor(() => pushes.length === 13, { what: "all pushes", timeoutMs: 30_000 });
  });

  it("pushes one at a time, and lets more than it can hold wait in the log, covered by a due time", async () => {
    await logIn("http://a/");
    const gate = Promise.withResolvers<void>();
    answer = () => gate.promise.then(() => OK);
    await broker.publish(await append(30));
    await waitFor(() => acknowledged.length > 10 && pushes.length > 0, {
      what: "a push, and what waits in the log to be acknowledged",
    });
    expect(seqs()).toEqual([1]);
    expect(await endpoint()).toMatchObject({ cursor: 0, due: true });
    gate.resolve();
    await waitFor(async () => (await endpoint()).cursor === 30, { what: "all to be taken" });
    expect(seqs()).toEqual(Array.from({ length: 30 }, (_, n) => n + 1));
    await waitFor(async () => !(await endpoint()).due, { what: "the lease to be given back" });
  });

  it("reads from the log what never came by the broker, when a later event shows the gap", async () => {
    await logIn("http://a/");
    const events = await append(3);
    await broker.publish(events.slice(2));
    await waitFor(() => acknowledged.length === 1, { what: "the acknowledgement" });
    await waitFor(async () => (await endpoint()).cursor === 3, { what: "the cursor" });
    expect(seqs()).toEqual([1, 2, 3]);
  });

  it("pushes nothing twice for a repeat from the broker", async () => {
    await logIn("http://a/");
    const events = await append(2);
    await broker.publish([...events, ...events]);
    await waitFor(() => acknowledged.length === 4, { what: "four acknowledgements" });
    expect(seqs()).toEqual([1, 2]);
  });

  it("leaves an endpoint alone whose lease another sender holds, and acknowledges, for that one has it covered", async () => {
    await logIn("http://a/");
    const { rows } = await sql<{ id: number }>`select id from endpoints where inbox_id = ${bob.inbox}`.execute(database.store.db);
    await takeLeases(database.store.db, "another", [rows[0]?.id as number]);
    await broker.publish(await append(2));
    await broker.publish([{ type: "wake", inbox: bob.inbox }]);
    await waitFor(() => acknowledged.length === 3, { what: "three acknowledgements" });
    expect(pushes).toEqual([]);
    expect(await endpoint()).toMatchObject({ cursor: 0, leased: "another" });
  });

  it("plans a retry after a failure, and acknowledges all that came meanwhile", async () => {
    await logIn("http://a/");
    answer = () => Promise.resolve({ result: "transient", code: "ECONNREFUSED" });
    await broker.publish(await append(5));
    await waitFor(() => acknowledged.length === 5, { what: "five acknowledgements" });
    expect(await endpoint()).toMatchObject({ cursor: 0, due: true });
    answer = () => Promise.resolve(OK);
    await waitFor(async () => (await endpoint()).cursor === 5, { what: "the retry, and the rest" });
    expect(seqs()).toEqual([1, 1, 2, 3, 4, 5]);
  });

  it("has an event that is newer than its settings wait until they are read again", async () => {
    await broker.publish(await append(1)); // the mailbox is loaded, without an endpoint
    await waitFor(() => acknowledged.length === 1, { what: "the acknowledgement" });
    await logIn("http://a/");
    await broker.publish(await append(1)); // its version tells of the log-in
    await waitFor(() => pushes.length === 2, { what: "both pushes" });
    expect(seqs()).toEqual([1, 2]);
  });

  it("does not let a late outcome switch off what was revived meanwhile", async () => {
    const session = await logIn("http://a/");
    const late = Promise.withResolvers<PushResult>();
    answer = () => late.promise;
    await broker.publish(await append(1));
    await waitFor(() => pushes.length === 1, { what: "the first push" });
    await endSession(database.store.db, bob.id, session);
    await logIn("http://a/");
    answer = () => Promise.resolve(OK);
    late.resolve({ result: "gone", status: 410 });
    await waitFor(async () => (await endpoint()).cursor === 1, { what: "the event to be taken by the revived endpoint" });
    expect(await endpoint()).toMatchObject({ state: "active" });
    expect(seqs()).toEqual([1, 1]);
  });

  it("starts no push with settings older than 30 s: nothing goes to an address that was signed out", async () => {
    const session = await logIn("http://a/");
    await broker.publish(await append(1));
    await waitFor(() => acknowledged.length === 1, { what: "the first event" });
    const [event] = await append(1); // appended before the log-out: its version does not tell of it
    await endSession(database.store.db, bob.id, session);
    skew += 31_000;
    await broker.publish([event as QueueMessage]);
    await waitFor(() => acknowledged.length === 2, { what: "the second event to be let go" });
    expect(seqs()).toEqual([1]);
  });

  it("is woken for what the relay finds: an outbox row that nobody published, and a due time", async () => {
    await logIn("http://a/");
    await append(2);
    await sql`update outbox set due_at = now()`.execute(database.store.db);
    await waitFor(async () => (await endpoint()).cursor === 2, { what: "the events of the outbox" });
    await append(1);
    await sql`delete from outbox`.execute(database.store.db);
    await sql`update endpoints set retry_at = now() where inbox_id = ${bob.inbox}`.execute(database.store.db);
    await waitFor(async () => (await endpoint()).cursor === 3, { what: "the event that only the due time covers" });
    expect(seqs()).toEqual([1, 2, 3]);
    await waitFor(async () => !(await endpoint()).due, { what: "the lease to be given back" });
  });

  it("pushes to each endpoint of an inbox by itself: one that hangs does not hold up the other", async () => {
    await logIn("http://a/");
    await logIn("http://b/");
    const never = Promise.withResolvers<PushResult>();
    answer = (push) => (push.target.address === "http://a/" ? never.promise : Promise.resolve(OK));
    await broker.publish(await append(20));
    await waitFor(() => pushes.filter((push) => push.target.address === "http://b/").length === 20, {
      what: "the other's pushes",
    });
    expect(pushes.filter((push) => push.target.address === "http://a/")).toHaveLength(1);
    never.resolve(OK);
  });

  it("forgets its place in the line when the connection is lost before the push began: nothing is passed over", async () => {
    await logIn("http://a/");
    const late = Promise.withResolvers<PushResult>();
    answer = () => late.promise;
    const [first] = await append(1);
    await broker.publish([first as QueueMessage]);
    await waitFor(() => pushes.length === 1, { what: "the first push" });
    await logIn("http://a/"); // another generation: the push in flight no longer counts, and the event is in line again behind it
    const [second] = await append(1);
    const before = loads;
    await broker.publish([second as QueueMessage]);
    await waitFor(() => loads > before, { what: "the endpoints to be read again" });
    loseConnection();
    await broker.publish([first as QueueMessage, second as QueueMessage]);
    answer = () => Promise.resolve(OK);
    late.resolve({ result: "transient", status: 500, mayBeTheEvent: true });
    await waitFor(async () => (await endpoint()).cursor === 2, { what: "both to be taken" });
    expect(seqs()).toEqual([1, 1, 2]);
  });

  it("lets go of the broker's messages when it waits long for leave to push", async () => {
    const never = Promise.withResolvers<PushResult>();
    answer = (push) => (push.target.address.startsWith("http://full") ? never.promise : Promise.resolve(OK));
    for (let n = 0; n < 8; n += 1) await logIn(`http://full-${n}/`); // as many as may be in flight
    await broker.publish(await append(1));
    await waitFor(() => pushes.length > 0, { what: "a push" });
    await waitFor(() => acknowledged.length === 1, { what: "the event to be let go", timeoutMs: 3_000 });
    expect(pushes.length).toBeLessThan(8);
    never.resolve(OK);
    await waitFor(() => pushes.length === 8, { what: "the pushes that waited" });
  });

  it("keeps within its mailboxes while lanes hang and others fail, and delivers everything in the end", async () => {
    await sender.stop();
    sender = await start("small", { maxMailboxes: 12, maxInFlight: 32 });
    let hangs = true;
    answer = async ({ target }) => {
      if (target.address === "http://gateway/" && hangs) {
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        return { result: "transient", code: "ETIMEDOUT" };
      }
      return target.address === "http://gone/" && pushes.length % 2 === 0 ? { result: "gone", status: 410 } : OK;
    };
    const people = await Promise.all(Array.from({ length: 40 }, () => user()));
    let most = 0;
    for (const [n, person] of people.entries()) {
      await logIn(n < 15 ? "http://gateway/" : n < 25 ? "http://gone/" : `http://well-${n}/`, person.id);
      await broker.publish(await append(2, person.id));
      most = Math.max(most, mailboxes());
    }
    const wellOnes = people.slice(25);
    await waitFor(
      async () => {
        most = Math.max(most, mailboxes());
        return (await behind(wellOnes)) === 0;
      },
      { what: "those that are well to get all", timeoutMs: 30_000 },
    );
    hangs = false;
    await waitFor(async () => (await behind(people)) === 0, { what: "all to get all, or to be gone", timeoutMs: 45_000 });
    expect(most).toBeLessThanOrEqual(12);
  });

  it("reads an event without a message once, and passes over it", async () => {
    await logIn("http://a/");
    await sql`
      insert into events (inbox_id, seq, id, kind) values (${bob.inbox}, 1, gen_random_uuid(), 'receipt.read')
    `.execute(database.store.db);
    await sql`update inboxes set head = 1 where id = ${bob.inbox}`.execute(database.store.db);
    const before = reads;
    await broker.publish([{ type: "wake", inbox: bob.inbox }]);
    await waitFor(async () => (await endpoint()).cursor === 1 && !(await endpoint()).due, { what: "it to be passed over" });
    expect(reads - before).toBeLessThan(4);
    expect(pushes).toEqual([]);
  });

  it("writes everybody else's progress where the database refuses one report, and what can be written of that one", async () => {
    const carol = await user();
    await logIn("http://a/");
    await logIn("http://carol/", carol.id);
    refuse = (reports) => reports.some(({ attempts }) => attempts.some(({ status }) => status === 299));
    answer = ({ target }) => Promise.resolve({ result: "delivered", status: target.address === "http://a/" ? 299 : 204 });
    await broker.publish([...(await append(1)), ...(await append(1, carol.id))]);
    await waitFor(async () => (await behind([bob, carol])) === 0, { what: "both cursors" });
    await waitFor(() => acknowledged.length === 2, { what: "both acknowledgements" });
  });

  it("pushes nothing once it was stopped, whatever was being loaded", async () => {
    await logIn("http://a/");
    const loading = Promise.withResolvers<void>();
    beforeLoad = () => loading.promise;
    await broker.publish(await append(3));
    await waitFor(() => loads === 1, { what: "the mailbox to be read" });
    const stopped = sender.stop();
    loading.resolve();
    await stopped;
    const before = pushes.length;
    sender = await start("next");
    await waitFor(async () => (await endpoint()).cursor === 3, { what: "the next one to push" });
    expect([before, seqs()]).toEqual([0, [1, 2, 3]]);
  });

  it("pushes nothing that it held when the connection was lost, while it read the endpoints", async () => {
    await logIn("http://a/");
    const loading = Promise.withResolvers<void>();
    beforeLoad = () => loading.promise;
    const events = await append(2);
    await broker.publish(events);
    await waitFor(() => loads === 1, { what: "the mailbox to be read" });
    loseConnection();
    loading.resolve();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(pushes).toEqual([]);
    await broker.publish(events);
    await waitFor(() => acknowledged.length === 2, { what: "what came again" });
    expect(seqs()).toEqual([1, 2]);
  });

  it("lets nobody else push while a push of its own is in flight, whatever is acknowledged meanwhile", async () => {
    await logIn("http://a/");
    const slow = Promise.withResolvers<PushResult>();
    answer = () => slow.promise;
    await broker.publish(await append(2));
    await waitFor(() => acknowledged.length === 2, { what: "what it holds to be covered" });
    expect(await endpoint()).toMatchObject({ due: true, leased: "sender" });
    const { rows } = await sql<{ id: number }>`select id from endpoints where inbox_id = ${bob.inbox}`.execute(database.store.db);
    const [lease] = await takeLeases(database.store.db, "other", [rows[0]?.id as number]);
    expect(lease).toMatchObject({ taken: false });
    answer = () => Promise.resolve(OK);
    slow.resolve(OK);
    await waitFor(async () => (await endpoint()).cursor === 2 && !(await endpoint()).due, { what: "both to be taken" });
    expect(seqs()).toEqual([1, 2]);
  });

  describe("with a clock that is moved by hand", () => {
    const byHand = { ...systemClock, monotonic: () => skew };
    let hanging: PromiseWithResolvers<PushResult>;
    beforeEach(async () => {
      await sender.stop();
      hanging = Promise.withResolvers();
      answer = () => hanging.promise;
    });
    afterEach(() => hanging.resolve(OK));

    it("gives the permit of a push that takes long to another one", async () => {
      sender = await start("slow", { clock: byHand, maxInFlight: 1 });
      const carol = await user();
      await logIn("http://a/");
      await logIn("http://b/", carol.id);
      await broker.publish([...(await append(1)), ...(await append(1, carol.id))]);
      await waitFor(() => pushes.length === 1, { what: "one push" });
      skew = 75;
      await waitFor(() => pushes.length === 2, { what: "the other one" });
    });

    it("acknowledges what waits for an answer sooner where it holds half of what it may", async () => {
      sender = await start("slow", { clock: byHand, prefetch: 4 });
      await logIn("http://a/");
      await broker.publish(await append(2));
      await waitFor(() => pushes.length === 1, { what: "a push" });
      skew = 300; // of the second for which it keeps them elsewhere
      await waitFor(() => acknowledged.length === 2, { what: "both to be acknowledged" });
      expect((await endpoint()).leased).toBe("slow");
    });
  });

  it("stops while the broker confirms nothing", async () => {
    await sender.stop();
    let wakes = 0;
    const silent: Broker = {
      ...broker,
      publish() {
        wakes += 1;
        return new Promise(() => undefined);
      },
    };
    sender = await start("blocked", {}, silent);
    await logIn("http://a/");
    await sql`update outbox set due_at = now()`.execute(database.store.db);
    await waitFor(() => wakes > 0, { what: "the relay to publish a wake" });
    const startedAt = performance.now();
    await sender.stop();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it("gives its leases back when it stops, and leaves what it did not push to the next", async () => {
    await logIn("http://a/");
    answer = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return OK;
    };
    await broker.publish(await append(40));
    await waitFor(() => pushes.length > 15, { what: "some pushes from the log" });
    await sender.stop();
    expect((await endpoint()).leased).toBeNull();
    const pushed = pushes.length;
    sender = await start("next");
    await waitFor(async () => (await endpoint()).cursor === 40, { what: "the rest" });
    expect(seqs()).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
    expect(pushed).toBeLessThan(40);
  });
});
