import {
  findUncovered,
  http,
  logIn,
  type Person,
  register,
  type ScriptedReceiver,
  type ServiceProcess,
  startRabbit,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { expectInOrder, firstArrivals, repeats } from "./arrivals.ts";
import { type Cluster, openCluster, PARTITIONS } from "./cluster.ts";
import { SECRET } from "./deployments.ts";
import { figure } from "./figure.ts";
import { followEverything } from "./following.ts";
import { startLoad } from "./load.ts";

/** What a sender may have pushed, but not yet recorded, when it is killed. */
const IN_FLIGHT_MS = 10_000;

async function inTurn<Item, Result>(items: readonly Item[], run: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let n = 0; n < items.length; n += 4) results.push(...(await Promise.all(items.slice(n, n + 4).map(run))));
  return results;
}

/** People who receive at paths of their own. */
async function makePeople(cluster: Cluster, receiver: ScriptedReceiver, count: number): Promise<Person[]> {
  const base = cluster.urls()[0] as string;
  const people = await inTurn(Array.from({ length: count }), () => register(base));
  await inTurn(people, (person) => logIn(base, person, `${receiver.url}/${person.id}`));
  return people;
}

function messagesTo(people: readonly Person[], each: number) {
  const from = people[0] as Person;
  return Array.from({ length: people.length * each }, (_, n) => ({
    from,
    to: people[n % people.length] as Person,
    text: `message ${n}`,
  }));
}

describe("a cluster of listeners and senders", () => {
  let cluster: Cluster;
  let receiver: ScriptedReceiver;
  beforeEach(async () => {
    receiver = await startScriptedReceiver();
  });
  afterEach(async () => {
    await cluster.close();
    await receiver.close();
  });

  const uncovered = () =>
    findUncovered({
      db: cluster.database.store.db,
      amqpUrl: cluster.amqpUrl,
      namespace: cluster.namespace,
      partitions: PARTITIONS,
      secret: SECRET,
    });

  async function allArrived(answered: ReadonlySet<string>): Promise<void> {
    const missing = () => {
      const arrived = new Set(receiver.arrivals.map((arrival) => arrival.id));
      return [...answered].filter((id) => !arrived.has(id));
    };
    try {
      await waitFor(() => missing().length === 0, { what: "everything that was answered 200 to arrive", timeoutMs: 120_000 });
    } catch (error) {
      throw new Error(`${missing().length} of ${answered.size} did not arrive`, { cause: error });
    }
  }

  it("shows to those who follow what a fresh read gives, while listeners and senders are killed", async () => {
    cluster = await openCluster(inject("amqpUrl"));
    const listeners = [await cluster.startListener(), await cluster.startListener()];
    await cluster.startSender();
    let ending: Promise<void> | undefined;
    await followEverything({
      urls: cluster.urls,
      steps: 150,
      // One is killed while requests of this step are under way, and replaced some steps later.
      async meanwhile(step) {
        if (step % 50 === 10) ending = cluster.end(listeners.shift() as ServiceProcess, "SIGKILL");
        if (step % 50 === 20) listeners.push(await cluster.startListener());
        if (step % 50 === 30) ending = cluster.end(cluster.senders()[0] as ServiceProcess, "SIGKILL");
        if (step % 50 === 40) await cluster.startSender();
        if (step % 10 === 5) await ending;
      },
    });
    for (const sender of cluster.senders()) await cluster.end(sender, "SIGKILL");
    expect(await uncovered()).toEqual([]);
  });

  it("loses nothing and keeps the order while senders and listeners are killed", async () => {
    cluster = await openCluster(inject("amqpUrl"));
    const [listener] = [await cluster.startListener(), await cluster.startListener()];
    const [sender] = [await cluster.startSender(), await cluster.startSender()];
    const people = await makePeople(cluster, receiver, 100);
    const messages = messagesTo(people, 100);
    const load = startLoad({ urls: cluster.urls, messages, concurrency: 64 });
    const answeredMore = (count: number) =>
      waitFor(() => load.answered.size >= count, { what: `${count} answers`, timeoutMs: 120_000 });

    const kills: number[] = [];
    const kill = async (process: typeof sender): Promise<void> => {
      await cluster.end(process, "SIGKILL");
      kills.push(performance.now());
    };
    await answeredMore(3_000);
    await kill(sender);
    await cluster.startSender();
    await answeredMore(6_000);
    await cluster.end(listener, "SIGKILL");
    await cluster.startListener();
    await load.done;
    expect(load.answered.size).toBeGreaterThan(9_000);

    // All senders die in the middle of the backlog: nothing is uncovered.
    for (const process of cluster.senders()) await kill(process);
    expect(await uncovered()).toEqual([]);
    await cluster.startSender();
    await cluster.startSender();

    await allArrived(load.answered);
    expectInOrder(receiver.arrivals);
    const again = repeats(receiver.arrivals);
    for (const repeat of again) {
      const first = receiver.arrivals.find((arrival) => arrival.id === repeat.id)?.at as number;
      expect(kills.some((at) => first <= at && first > at - IN_FLIGHT_MS)).toBe(true);
    }
    figure(
      "killed under load",
      `${load.answered.size} answered, ${load.failed} failed, ${firstArrivals(receiver.arrivals).length} arrived, ${again.length} repeats`,
    );

    // The last to be level is the one who sent: nothing of theirs is pushed, and it is read all the same.
    const behind = sql`select from endpoints e join inboxes b on b.id = e.inbox_id where e.cursor < b.head`;
    const isLevel = async () => (await behind.execute(cluster.database.store.db)).rows.length === 0;
    await waitFor(isLevel, { what: "every endpoint to be level with its inbox" });
    for (const running of cluster.senders()) await cluster.end(running, "SIGTERM");
    expect(await uncovered()).toEqual([]);
  });

  it("goes on accepting while RabbitMQ is killed and emptied, and delivers everything once it is back", async () => {
    const rabbit = await startRabbit();
    try {
      cluster = await openCluster(rabbit.url);
      await cluster.startListener();
      await cluster.startListener();
      await cluster.startSender();
      await cluster.startSender();
      const people = await makePeople(cluster, receiver, 20);
      const load = startLoad({ urls: cluster.urls, messages: messagesTo(people, 150), concurrency: 16 });
      await waitFor(() => load.answered.size >= 500, { what: "500 answers" });
      await rabbit.destroy();
      const before = load.answered.size;
      await waitFor(() => load.answered.size >= before + 500, { what: "500 answers without a broker" });
      await rabbit.startAgain();
      await load.done;
      expect(load.failed).toBe(0);
      await allArrived(load.answered);
      expectInOrder(receiver.arrivals);
      for (const running of cluster.senders()) await cluster.end(running, "SIGTERM");
      expect(await uncovered()).toEqual([]);
    } finally {
      await cluster.close();
      await rabbit.stop();
      cluster = { ...cluster, close: () => Promise.resolve() };
    }
  });

  it("stops in good order: a listener answers what is open, a sender leaves nothing uncovered", async () => {
    cluster = await openCluster(inject("amqpUrl"));
    const listener = await cluster.startListener();
    await cluster.startListener();
    const sender = await cluster.startSender();
    const people = await makePeople(cluster, receiver, 10);
    receiver.behave({ status: 204, delayMs: 20 });
    const load = startLoad({ urls: cluster.urls, messages: messagesTo(people, 100), concurrency: 16 });
    await waitFor(() => load.answered.size >= 200, { what: "200 answers" });
    await cluster.end(listener, "SIGTERM");
    await cluster.end(sender, "SIGTERM");
    await load.done;
    expect(await sender.exited).toBe(0);
    expect(await listener.exited).toBe(0);
    expect(await uncovered()).toEqual([]);
    await cluster.startSender();
    await allArrived(load.answered);
    expectInOrder(receiver.arrivals);
    expect(repeats(receiver.arrivals)).toEqual([]);
  });

  it("refuses connections for as long as it is told to before a listener ends", async () => {
    cluster = await openCluster(inject("amqpUrl"), { DRAIN_SECONDS: "2" });
    const listener = await cluster.startListener();
    const [url] = cluster.urls();
    let hasEnded = false;
    void listener.exited.then(() => (hasEnded = true));
    const toldAt = performance.now();
    const ending = cluster.end(listener, "SIGTERM");
    const refuses = () =>
      http(`${url}/api/health`).then(
        () => false,
        (error: NodeJS.ErrnoException) => error.code === "ECONNREFUSED",
      );
    await waitFor(refuses, { what: "a connection to be refused" });
    expect(hasEnded).toBe(false);
    await ending;
    expect(performance.now() - toldAt).toBeGreaterThan(2_000);
    expect(await listener.exited).toBe(0);
  });

  it("serves metrics on a port of its own, and not on the public one", async () => {
    cluster = await openCluster(inject("amqpUrl"));
    const listener = await cluster.startListener();
    const port = /"metricsPort":(\d+)/u.exec(listener.output)?.[1];
    expect((await http(`http://127.0.0.1:${port}/metrics`)).text).toContain("messenger_accepted_total");
    expect((await http(`${cluster.urls()[0]}/metrics`)).status).toBe(404);
  });
});
