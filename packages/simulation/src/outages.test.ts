import type { PushResult } from "@messenger/channels";
import { createIds, createKeyring, storedContent, webhookSecretContext } from "@messenger/core";
import { createAppendQueue, createPublisher, type OutgoingMessage } from "@messenger/listener";
import { startSender } from "@messenger/sender";
import { TIMEOUT_S_DEFAULT } from "@messenger/store";
import { beforeEach, describe, expect, it } from "vitest";
import { createBroker } from "./broker.ts";
import { createChance } from "./chance.ts";
import { createScheduler } from "./scheduler.ts";
import { createStore } from "./store.ts";
import { createProcess, type World } from "./world.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const ADDRESS = "http://receiver.example";

/** A push as it arrived, in the time of the world. */
interface Arrival {
  seq: number;
  at: number;
  result: PushResult;
}

const TAKEN: PushResult = { result: "delivered", status: 204 };
const answered = (status: number, result: PushResult["result"]): PushResult => ({ result, status });

/**
 * The listener's and the sender's own code on a virtual clock, with one endpoint, where nothing fails but what its
 * receiver is told to.
 */
async function startWorld() {
  const scheduler = createScheduler();
  const seed = Math.floor(Math.random() * 2 ** 31);
  const chance = createChance(seed);
  const broken: Error[] = [];
  const world: World = {
    scheduler,
    chance,
    faulty: false,
    calm: false,
    harsh: false,
    keeps: true,
    timeoutS: TIMEOUT_S_DEFAULT,
    rated: false,
    windowed: false,
    dated: true,
    check: (rule) => rule(),
    note: () => undefined,
  };
  const store = createStore(world, () => undefined);
  const broker = createBroker(world, 1, () => undefined);
  const process = createProcess(world, "all of it", () => false);
  const keyring = createKeyring({ secret: "a secret of the simulation, of more than 32 bytes", random: process.random });
  const ids = createIds({ clock: process.clock, random: process.random });
  const inbox = store.addInbox().id;
  const secret = keyring.webhookSecrets.seal(webhookSecretContext(inbox, ADDRESS), process.random.bytes(24));
  const endpoint = store.logIn(inbox, ADDRESS, ["message.created"], Buffer.from(secret).toString("latin1"));
  const opened = () => broker.open(process, (missing) => process.call("repair", () => store.repair(missing, 1)));
  const publisher = createPublisher({
    broker: opened(),
    clock: process.clock,
    deleteOutbox: (rows) => process.call("delete outbox rows", () => store.deleteOutbox(rows)),
    onPublished: () => undefined,
    onError: (error) => void broken.push(error as Error),
  });
  const appends = createAppendQueue({
    clock: process.clock,
    appendMessages: (messages) => process.call("append", () => store.append(messages)),
    whyUnavailable: () => undefined,
    onAppended: (batch) => publisher.publishEvents(batch),
    onBatch: () => undefined,
    onError: (error) => void broken.push(error as Error),
  });
  const arrivals: Arrival[] = [];
  let behave: (seq: number) => PushResult = () => TAKEN;
  const channel = {
    name: "webhook",
    vet: () => undefined,
    laneKey: (address: string) => address,
    prepare: ({ address }: { address: string }) => ({ address }),
    push: ({ event: { seq } }: { event: { seq: number } }) =>
      new Promise<PushResult>((resolve) => {
        scheduler.after(5, () => {
          const result = behave(seq);
          arrivals.push({ seq, at: scheduler.now, result });
          resolve(result);
        });
      }),
    close: () => Promise.resolve(),
  };
  const nothing = (): undefined => undefined;
  await startSender({
    name: "sender",
    store: store.forSender(process),
    broker: opened(),
    channels: { channelFor: () => channel, vet: nothing, providers: [], close: () => channel.close() },
    keyring,
    clock: process.clock,
    random: process.random,
    log: { info: nothing, warn: nothing, error: (details) => void broken.push(details as Error) },
    metrics: {
      onAttempt: nothing,
      onDeadLetters: nothing,
      onOff: nothing,
      onDeferred: nothing,
      onBacklog: nothing,
      onRelayed: nothing,
      onTold: nothing,
      observe: nothing,
    },
    maxInFlight: 8,
    maxMailboxes: 10,
    partitions: 1,
    keepAnswers: "all",
    keepAttemptsDays: 30,
  });

  async function runUntil(isDone: () => boolean, what: string): Promise<void> {
    for (let steps = 0; !isDone(); steps += 1) {
      if (!(await scheduler.step()) || steps > 1_000_000) throw new Error(`it never came to ${what} (seed ${seed})`);
    }
  }

  return {
    store,
    endpoint,
    arrivals,
    broken,
    get now() {
      return scheduler.now;
    },
    behave: (by: (seq: number) => PushResult) => void (behave = by),
    send() {
      const id = ids.next();
      const plain = storedContent({
        message: "hello",
        sender_id: 9,
        sender_username: "a",
        send_date: "2026-01-01",
        receiver_id: inbox,
      });
      const message: OutgoingMessage = {
        id,
        sentEventId: id,
        senderId: 9,
        to: { user: inbox },
        sessionId: 1,
        content: keyring.contents.seal(id, plain),
        plain,
        sentAt: 0,
        requestKey: null,
      };
      appends.append(message).catch((error: unknown) => broken.push(error as Error));
    },
    /** What was taken, in the order in which it first was. */
    taken: () => [...new Set(arrivals.filter(({ result }) => result.result === "delivered").map(({ seq }) => seq))],
    runUntil,
    async pass(ms: number): Promise<void> {
      const until = scheduler.now + ms;
      await runUntil(() => scheduler.now >= until, `${ms} ms later`);
    },
    every(ms: number, times: number, run: () => void): void {
      for (let n = 0; n < times; n += 1) scheduler.after(n * ms, run);
    },
  };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);

describe("an endpoint", { timeout: 120_000 }, () => {
  let world: Awaited<ReturnType<typeof startWorld>>;

  beforeEach(async () => {
    world = await startWorld();
  });

  it("that is down for an hour with 10,000 events is tried ten times at most, and then gets all of them in order", async () => {
    world.behave(() => ({ result: "transient", code: "ECONNREFUSED" }));
    world.every(360, 10_000, () => world.send());
    await world.pass(60 * MINUTE);
    expect(world.arrivals.length).toBeLessThanOrEqual(10);
    expect(world.arrivals.length).toBeGreaterThanOrEqual(5);
    world.behave(() => TAKEN);
    await world.runUntil(() => world.endpoint.cursor === 10_000, "the end of the log");
    const after = world.arrivals.filter(({ result }) => result === TAKEN).map(({ seq }) => seq);
    expect(after).toEqual(upTo(10_000));
    expect(world.store.deadLetters.size).toBe(0);
    expect(world.broken).toEqual([]);
  });

  it.each([401, 404])("that answers %i for ten seconds gets all of it in order, and has no dead letter", async (status) => {
    world.every(20, 1_500, () => world.send());
    await world.pass(5 * SECOND);
    world.behave(() => answered(status, "transient"));
    await world.pass(10 * SECOND);
    world.behave(() => TAKEN);
    await world.runUntil(() => world.endpoint.cursor === 1_500, "the end of the log");
    expect(world.taken()).toEqual(upTo(1_500));
    expect(world.store.deadLetters.size).toBe(0);
    expect(world.broken).toEqual([]);
  });

  it("that always rejects one event has it as a dead letter after three tries over ten minutes, gets the rest in order, and that one when it is asked for", async () => {
    world.behave((seq) => (seq === 7 ? answered(422, "rejected") : TAKEN));
    for (let n = 0; n < 20; n += 1) world.send();
    await world.runUntil(() => world.endpoint.cursor === 20, "the end of the log");
    const tries = world.arrivals.filter(({ seq }) => seq === 7).map(({ at }) => at);
    expect(tries).toHaveLength(3);
    expect((tries[2] as number) - (tries[0] as number)).toBeGreaterThanOrEqual(10 * MINUTE);
    expect(world.taken()).toEqual(upTo(20).filter((seq) => seq !== 7));
    expect([...world.store.deadLetters.keys()]).toEqual([`${world.endpoint.id}/7`]);

    world.behave(() => TAKEN);
    world.store.askAgain(world.endpoint.id, []);
    await world.runUntil(() => world.store.deadLetters.size === 0, "the dead letter");
    expect(world.arrivals.at(-1)).toMatchObject({ seq: 7, result: TAKEN });
    expect(world.broken).toEqual([]);
  });

  it("that rejects a hundred events in a row is held up by less than half an hour in all", async () => {
    world.behave((seq) => (seq <= 100 ? answered(422, "rejected") : TAKEN));
    for (let n = 0; n < 101; n += 1) world.send();
    const began = world.now;
    await world.runUntil(() => world.taken().length === 1, "the event after them");
    expect(world.now - began).toBeLessThan(30 * MINUTE);
    expect(world.now - began).toBeGreaterThan(10 * MINUTE);
    await world.runUntil(() => world.endpoint.cursor === 101, "what is written of it");
    expect(world.store.deadLetters.size).toBe(100);
    expect(world.broken).toEqual([]);
  });
});
