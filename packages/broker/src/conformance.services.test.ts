import { setTimeout as sleep } from "node:timers/promises";
import { deleteNamespace, testNamespace, waitFor } from "@messenger/testkit";
import { createKeyring, type LiveNotice, type QueueMessage, systemRandom } from "@messenger/core";
import { type ChannelModel, connect } from "amqplib";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import type { Broker, BrokerProblem, Consumer, Delivery } from "./broker.ts";
import { bundle, BUNDLE_TYPE } from "./encoding.ts";
import { SETTLE_KEPT_EVERY_MS } from "./holding.ts";
import { openBroker } from "./open-broker.ts";

const PARTITIONS = 4;

function event(inbox: number, seq: number): QueueMessage {
  return {
    type: "event",
    inbox,
    seq,
    version: 3,
    id: `00000000-0000-7000-8000-${String(inbox * 1000 + seq).padStart(12, "0")}`,
    kind: "message.created",
    messageId: "00000000-0000-7000-8000-000000000001",
    conversation: 7,
    createdAt: "2026-01-02T03:04:05.678Z",
    content: Buffer.from([0, 1, 2, 255]),
    sealed: false,
  };
}

const { bundles: sealer } = createKeyring({ secret: "a secret of the tests, of more than 32 bytes", random: systemRandom });

const seqOf = (delivery: Delivery): number => (delivery.message.type === "event" ? delivery.message.seq : -1);

/** Of a consumer that gives up a partition at once. */
const yielding = {
  onYield: (_partition: number, giveUp: () => Promise<void>) => giveUp(),
  onMissed: () => undefined,
  onLost: () => undefined,
};

describe.each([{ name: "RabbitMQ" }, { name: "in process" }])("the broker, $name", ({ name }) => {
  const real = name === "RabbitMQ";
  let namespace: string;
  let covered: number[];
  let problems: BrokerProblem[];
  let brokers: Broker[];

  async function open(): Promise<Broker> {
    const broker = await openBroker({
      url: real ? inject("amqpUrl") : "in-process:",
      namespace,
      partitions: PARTITIONS,
      sealer,
      coverPartitions(partitions) {
        covered.push(...partitions);
        return Promise.resolve();
      },
      onProblem: (problem) => void problems.push(problem),
    });
    brokers.push(broker);
    return broker;
  }

  async function consume(broker: Broker, consumer: string, prefetch = 100, ack = true) {
    const deliveries: Delivery[] = [];
    const handle: Consumer = await broker.consume({
      name: consumer,
      prefetch,
      onDelivery(delivery) {
        deliveries.push(delivery);
        if (ack) delivery.ack();
      },
      ...yielding,
    });
    return { deliveries, handle };
  }

  /** Before 4.0, RabbitMQ gives a queue to whoever comes first. */
  async function prioritiesCount(): Promise<boolean> {
    const connection = await connect(inject("amqpUrl"));
    const { version } = connection.connection.serverProperties;
    await connection.close();
    return Number.parseInt(version) >= 4;
  }

  async function seatIsFree(connection: ChannelModel, seat: number): Promise<boolean> {
    const channel = await connection.createChannel();
    channel.on("error", () => undefined); // reported by the rejected call, too
    const code = await channel.checkQueue(`${namespace}.seat.${seat}`).catch((error: { code: number }) => error.code);
    return code === 404;
  }

  beforeEach(() => {
    namespace = testNamespace();
    covered = [];
    problems = [];
    brokers = [];
  });
  afterEach(async () => {
    for (const broker of brokers) await broker.close();
    if (real) await deleteNamespace(inject("amqpUrl"), namespace, PARTITIONS);
  });

  it("covers every partition before it is made, once", async () => {
    await open();
    expect(new Set(covered)).toEqual(new Set([0, 1, 2, 3]));
    if (!real) return;
    await open();
    expect(covered).toHaveLength(4);
  });

  it("delivers what was published, whole and in the order of its inbox", async () => {
    const broker = await open();
    const { deliveries } = await consume(broker, "one");
    const sent = Array.from({ length: 200 }, (_, n) => event(1 + (n % 5), 1 + Math.floor(n / 5)));
    expect(await broker.publish(sent)).toBe(true);
    expect(await broker.publish([{ type: "wake", inbox: 3 }])).toBe(true);
    await waitFor(() => deliveries.length === 201, { what: "all deliveries" });
    for (let inbox = 1; inbox <= 5; inbox += 1) {
      const seqs = deliveries.filter((delivery) => delivery.message.inbox === inbox && seqOf(delivery) > 0).map(seqOf);
      expect(seqs).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
    }
    const first = deliveries.find((delivery) => delivery.message.inbox === 1)?.message;
    expect(first).toMatchObject({ ...event(1, 1), content: expect.anything() });
    expect(first?.type === "event" && Buffer.from(first.content).equals(Buffer.from([0, 1, 2, 255]))).toBe(true);
    expect(deliveries.map((delivery) => delivery.message)).toContainEqual({ type: "wake", inbox: 3 });
  });

  it("gives a consumer no more of a partition than its prefetch, until it acknowledges", async () => {
    const broker = await open();
    const { deliveries } = await consume(broker, "one", 2, false);
    for (const seq of [1, 2, 3]) await broker.publish([event(4, seq)]);
    await waitFor(() => deliveries.length === 2, { what: "two deliveries" });
    deliveries[0]?.ack();
    await waitFor(() => deliveries.length === 3, { what: "the third delivery" });
    expect(deliveries.map(seqOf)).toEqual([1, 2, 3]);
  });

  it("gives what one consumer leaves behind to another, in order", async () => {
    const broker = await open();
    const one = await consume(broker, "one", 100, false);
    for (const seq of [1, 2, 3]) await broker.publish([event(4, seq)]);
    await waitFor(() => one.deliveries.length === 3, { what: "three deliveries" });
    one.deliveries[0]?.ack();
    const two = await consume(broker, "two");
    await one.handle.close();
    one.deliveries[1]?.ack(); // belongs to a channel that is gone
    await waitFor(() => two.deliveries.length === 2, { what: "what was left" });
    expect(two.deliveries.map(seqOf)).toEqual([2, 3]);
  });

  it("loses nothing of what was published together while a part of it is not acknowledged", async () => {
    const broker = await open();
    const one = await consume(broker, "one", 1, false);
    await broker.publish([event(4, 1), event(8, 1), event(4, 2)]);
    await waitFor(() => one.deliveries.length >= 1, { what: "a delivery" });
    one.deliveries[0]?.ack();
    const two = await consume(broker, "two");
    await one.handle.close();
    await waitFor(
      () => two.deliveries.filter((delivery) => delivery.message.inbox === 4).some((delivery) => seqOf(delivery) === 2),
      {
        what: "what was not acknowledged",
      },
    );
    expect(two.deliveries.map(({ message }) => message.inbox)).toContain(8);
    const again = await consume(broker, "three");
    await two.handle.close();
    await broker.publish([event(4, 3)]);
    await waitFor(() => again.deliveries.length === 1, { what: "the next event" });
    expect(again.deliveries.map(seqOf)).toEqual([3]); // all else was acknowledged
  });

  it("gives a stopped consumer nothing more, which can still acknowledge what it holds", async () => {
    const broker = await open();
    const one = await consume(broker, "one", 100, false);
    await broker.publish([event(4, 1)]);
    await waitFor(() => one.deliveries.length === 1, { what: "a delivery" });
    await one.handle.stop();
    one.deliveries[0]?.ack();
    await broker.publish([event(4, 2)]);
    await one.handle.close();
    const two = await consume(broker, "two");
    await waitFor(() => two.deliveries.length === 1, { what: "the second event" });
    expect(two.deliveries.map(seqOf)).toEqual([2]);
    expect(one.deliveries).toHaveLength(1);
  });

  it("tells subscribers of an inbox that it has events, and of no other", async () => {
    const broker = await open();
    const heard: number[] = [];
    const subscription = await broker.subscribe(5, ({ inbox, seq }) => void heard.push(inbox * 1000 + seq));
    await broker.publish([event(5, 1), event(6, 1), event(5, 2)]);
    await waitFor(() => heard.length > 0, { what: "a notice" });
    expect(heard).toEqual([5002]);
    await subscription.close();
    const others: number[] = [];
    await broker.subscribe(5, ({ seq }) => void others.push(seq));
    await broker.publish([event(5, 3)]);
    await waitFor(() => others.includes(3), { what: "the second subscription's notice" });
    expect(heard).toEqual([5002]);
  });

  it("tells subscribers of what passes", async () => {
    const broker = await open();
    const heard: LiveNotice[] = [];
    await broker.subscribe(5, (notice) => void heard.push(notice));
    const typing = { kind: "typing", userId: 3, conversation: 7, from: null } as const;
    const presence = { kind: "presence", userId: 3, conversation: null, from: 6 } as const;
    broker.notify([
      { inbox: 5, seq: 0, signal: typing },
      { inbox: 6, seq: 0, signal: typing },
      { inbox: 5, seq: 0, signal: presence },
    ]);
    await waitFor(() => heard.length === 2, { what: "both signals" });
    expect(heard).toEqual([
      { inbox: 5, seq: 0, signal: typing },
      { inbox: 5, seq: 0, signal: presence },
    ]);
  });

  if (real) {
    it("puts what cannot be read aside, and goes on", async () => {
      const broker = await open();
      const { deliveries } = await consume(broker, "one");
      const connection = await connect(inject("amqpUrl"));
      const channel = await connection.createConfirmChannel();
      channel.sendToQueue(`${namespace}.push.0`, Buffer.from("{}"), { type: "nonsense", persistent: true });
      const [misplaced] = bundle([{ type: "wake", inbox: 5 }], PARTITIONS, sealer); // of partition 1
      channel.sendToQueue(`${namespace}.push.0`, misplaced?.body as Buffer, { type: BUNDLE_TYPE, persistent: true });
      await channel.waitForConfirms();
      await broker.publish([event(4, 1)]);
      await waitFor(() => deliveries.length === 1, { what: "the event behind it" });
      await waitFor(async () => (await channel.checkQueue(`${namespace}.dead`)).messageCount === 2, { what: "the dead letters" });
      expect(problems.map((problem) => problem.kind).filter((kind) => kind === "poison")).toHaveLength(2);
      await connection.close();
    });

    it("does not confirm into the void: a queue that was deleted is covered and made again, whatever else is bound", async () => {
      const broker = await open();
      const connection = await connect(inject("amqpUrl"));
      const channel = await connection.createChannel();
      const { queue } = await channel.assertQueue("", { exclusive: true });
      await channel.bindQueue(queue, `${namespace}.events`, "#");
      covered = [];
      await channel.deleteQueue(`${namespace}.push.2`);
      expect(await broker.publish([event(2, 1)])).toBe(false);
      await waitFor(() => covered.includes(2) && broker.connected, { what: "the partition to be made again" });
      await waitFor(() => broker.publish([event(2, 2)]), { what: "a publish to be confirmed" });
      expect(covered).toEqual([2]);
      await connection.close();
    });

    it("connects again when its connection is lost, and delivers what was not acknowledged again", async () => {
      const broker = await open();
      let lost = 0;
      const deliveries: Delivery[] = [];
      await broker.consume({
        name: "one",
        prefetch: 10,
        onDelivery: (delivery) => void deliveries.push(delivery),
        ...yielding,
        onLost: () => (lost += 1),
      });
      await broker.publish([event(4, 1)]);
      await waitFor(() => deliveries.length === 1, { what: "a delivery" });
      const connection = await connect(inject("amqpUrl"));
      const channel = await connection.createChannel();
      await channel.deleteQueue(`${namespace}.push.3`); // the consumer is cancelled, and that ends the connection
      await waitFor(() => deliveries.length === 2, { what: "the delivery to come again" });
      expect(lost).toBe(1);
      deliveries[0]?.ack(); // of the lost connection: nothing happens
      deliveries[1]?.ack();
      await waitFor(() => broker.publish([event(4, 2)]), { what: "a publish to be confirmed" });
      await waitFor(() => deliveries.length === 3, { what: "the next event" });
      expect(deliveries.map(seqOf)).toEqual([1, 1, 2]);
      await connection.close();
    });

    it("does not end a connection for what is said by one before it, which was dropped", async () => {
      const broker = await open();
      let lost = 0;
      await broker.consume({ name: "one", prefetch: 10, onDelivery: () => undefined, ...yielding, onLost: () => (lost += 1) });
      const connection = await connect(inject("amqpUrl"));
      const channel = await connection.createChannel();
      await channel.deleteQueue(`${namespace}.push.3`);
      await waitFor(() => lost === 1 && broker.connected, { what: "another connection" });
      // The dropped one finds its heart to have stopped after two to three intervals of ten seconds.
      const until = performance.now() + 35_000;
      await waitFor(() => lost > 1 || performance.now() > until, { what: "the dropped one's last word", timeoutMs: 40_000 });
      expect(lost).toBe(1);
      await connection.close();
    }, 60_000);

    it("says when another consumer may have had a partition since the last delivery", async () => {
      const [one, two] = [await open(), await open()];
      const missed: string[] = [];
      const consumers: Consumer[] = [];
      const deliveries: string[] = [];
      const held: (() => void)[] = [];
      for (const [n, broker] of [one, two].entries()) {
        consumers.push(
          await broker.consume({
            name: `consumer-${n}`,
            prefetch: 10,
            ...yielding,
            onDelivery(delivery) {
              deliveries.push(`${n}/${seqOf(delivery)}`);
              held.push(() => delivery.ack());
            },
            onMissed: (partition) => void missed.push(`${n}/${partition}`),
          }),
        );
      }
      let seq = 0;
      const publish = async (): Promise<void> => {
        seq += 1;
        await waitFor(() => one.publish([event(4, seq)]), { what: "a publish to be confirmed" });
        await waitFor(() => deliveries.length === seq, { what: "its delivery" });
      };
      await publish();
      const owner = Number(deliveries[0]?.split("/")[0]);
      expect(missed).toEqual([`${owner}/0`]);
      // While it holds something of the partition, nobody else can have it: the last bundle is kept for a while.
      await publish();
      held[0]?.();
      held[1]?.();
      await publish();
      expect(missed).toEqual([`${owner}/0`]);
      held[2]?.();
      let tries = 0;
      while (missed.length < 2 && tries < 10) {
        tries += 1;
        await sleep(2 * SETTLE_KEPT_EVERY_MS * tries);
        await publish();
        held.at(-1)?.();
      }
      expect(missed).toEqual([`${owner}/0`, `${owner}/0`]);
      await publish();
      await consumers[owner]?.close();
      await waitFor(() => deliveries.length === seq + 1, { what: "what was held to come to the other, and nothing else" });
      expect(deliveries.at(-1)).toBe(`${1 - owner}/${seq}`);
      expect(missed.at(-1)).toBe(`${1 - owner}/0`);
    });

    it("lets every consumer of several processes have a share of the partitions, or stand by", async () => {
      const brokersOpen = [await open(), await open()];
      const consumers = await Promise.all(brokersOpen.map((broker, n) => consume(broker, `consumer-${n}`)));
      const messages = Array.from({ length: 40 }, (_, n) => event(1 + (n % 8), 1 + Math.floor(n / 8)));
      await (brokersOpen[0] as Broker).publish(messages);
      await waitFor(() => consumers.reduce((sum, { deliveries }) => sum + deliveries.length, 0) === 40, {
        what: "all deliveries",
      });
      for (let inbox = 1; inbox <= 8; inbox += 1) {
        const takers = consumers.filter(({ deliveries }) => deliveries.some((delivery) => delivery.message.inbox === inbox));
        expect(takers).toHaveLength(1);
      }
      if (await prioritiesCount()) expect(consumers.map(({ deliveries }) => deliveries.length)).toEqual([20, 20]);
    });

    it("moves a consumer down to the seat of one that left, and delivers everything in order meanwhile", async () => {
      if (!(await prioritiesCount())) return;
      const brokersOpen = [await open(), await open(), await open()];
      const deliveries: Delivery[] = [];
      const onDelivery = (delivery: Delivery): void => {
        deliveries.push(delivery);
        delivery.ack();
      };
      for (const [n, broker] of brokersOpen.entries()) {
        await broker.consume({ name: `consumer-${n}`, prefetch: 10, onDelivery, ...yielding });
      }
      const connection = await connect(inject("amqpUrl"));
      const [first, second] = brokersOpen as [Broker, Broker, Broker];
      problems = [];
      await first.close();
      let seq = 0;
      await waitFor(
        async () => {
          seq += 1;
          expect(await second.publish([1, 2, 3, 4].map((inbox) => event(inbox, seq)))).toBe(true);
          return (await seatIsFree(connection, 2)) && !(await seatIsFree(connection, 0));
        },
        { what: "the highest seat to be left for the lowest" },
      );
      await waitFor(() => deliveries.length >= 4 * seq, { what: "all deliveries" });
      for (const inbox of [1, 2, 3, 4]) {
        const arrived = deliveries.filter(({ message }) => message.inbox === inbox).map(seqOf);
        expect(arrived).toEqual(Array.from({ length: seq }, (_, index) => index + 1));
      }
      expect(problems).toEqual([]);
      await connection.close();
    });
  }
});
