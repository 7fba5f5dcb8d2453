import { setTimeout as sleep } from "node:timers/promises";
import type { QueueMessage } from "@messenger/core";
import { type Channel, type ChannelModel, connect, type ConsumeMessage } from "amqplib";
import type { Broker, BrokerOptions, Consumer, ConsumeOptions } from "./broker.ts";
import { decodeNotices, unbundle } from "./encoding.ts";
import { createHolding, type Holding, SETTLE_KEPT_EVERY_MS } from "./holding.ts";
import { createLiveTopics, noticesOf } from "./live-topics.ts";
import { createRabbitPublisher, type RabbitPublisher } from "./rabbit-publisher.ts";
import { leaveSeat, prioritiesOf, takeLowerSeat, takeSeat } from "./seats.ts";
import { declareTopology, namesIn, NOTICES_KEY } from "./topology.ts";

const HEARTBEAT_SECONDS = 10;
const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MOST_MS = 5_000;
const LOOK_FOR_SEAT_EVERY_MS = 5_000;

/**
 * Two connections, from when everything is declared until one of them is lost. Consuming has one of its own:
 * under a memory or disk alarm RabbitMQ stops reading from connections that publish, and acknowledgements,
 * which drain the queues, must still reach it.
 */
interface Session extends SessionEnd {
  connections: readonly ChannelModel[];
  consuming: ChannelModel;
  publisher: RabbitPublisher;
  live: { channel: Channel; queue: string };
  /** Of this process, once somebody here consumes. */
  seat: Promise<number | undefined> | undefined;
  blocked: boolean;
}

interface SessionEnd {
  /** Resolves when it is over: what is still asked of its connections may never be answered. */
  ended: Promise<Error | undefined>;
  /** Ends this session, and no later one: connections that were dropped may say something much later. */
  end(this: void, error: Error | undefined): void;
}

/** A consumer of this process, with its channel while there is a connection. */
interface Member {
  options: ConsumeOptions;
  channel: Channel | undefined;
  /** What it consumes each partition by. */
  tags: string[];
  /** What it holds by this channel. */
  holding: Holding | undefined;
  stopped: boolean;
}

/**
 * RabbitMQ. Any fault of a channel or of a connection ends both connections, and others are made, with
 * everything declared again: what was in flight is covered by the outbox or comes again. amqplib's own
 * recovery is not used: it can keep a dead connection that dropped during set-up, and restores no channel
 * that closed by itself.
 */
export async function openRabbit(options: BrokerOptions): Promise<Broker> {
  const names = namesIn(options.namespace ?? "messenger");
  const members = new Set<Member>();
  const topics = createLiveTopics();
  const closing = new AbortController();
  let session: Session | undefined;
  let lastHeard = performance.now();
  let lastBytes = 0;
  // The loop is asleep between two attempts, or waits for the end of this session, which may still be setting up.
  let endSession: SessionEnd["end"] | undefined;

  const url = new URL(options.url);
  url.searchParams.set("heartbeat", String(HEARTBEAT_SECONDS));

  async function startMember(member: Member, started: Session): Promise<void> {
    const { consuming } = started;
    started.seat ??= takeSeat(consuming, names);
    const seat = await started.seat;
    if (member.stopped) return;
    const channel = await consuming.createChannel();
    if (member.stopped) return channel.close();
    watch(channel, started);
    member.channel = channel;
    member.tags = [];
    member.holding = createHolding(options.partitions, (partition) => member.options.onMissed(partition));
    await channel.prefetch(member.options.prefetch);
    await consumeAll(member, channel, started, seat);
  }

  /** Consumes all partitions as whoever has this seat, and no more as it did before. */
  async function consumeAll(member: Member, channel: Channel, current: Session, seat: number | undefined): Promise<void> {
    const { name } = member.options;
    for (const [partition, priority] of prioritiesOf(seat, options.partitions).entries()) {
      if (member.stopped || member.channel !== channel) return;
      const { consumerTag } = await channel.consume(
        names.partition(partition),
        (message) => receive(member, channel, current, partition, message),
        // By the tag, an operator sees in RabbitMQ who consumes what.
        { priority, consumerTag: `${name}/${partition}/${seat ?? "-"}` },
      );
      const before = member.tags[partition];
      member.tags[partition] = consumerTag;
      // Where others want it more, one of them has it as soon as this consumer is cancelled.
      if (before !== undefined) await member.options.onYield(partition, async () => void (await channel.cancel(before)));
      if (member.stopped) await channel.cancel(consumerTag);
    }
  }

  /** A consumer that came after its session began. */
  async function startNow(member: Member, current: Session): Promise<void> {
    const started = startMember(member, current).catch((error: unknown) => current.end(error as Error));
    await Promise.race([started, current.ended]);
  }

  /** Moves to a lower seat where one became free, with all that this process consumes. */
  async function improveSeat(current: Session): Promise<void> {
    const { consuming } = current;
    const seat = await current.seat;
    const lower = await takeLowerSeat(consuming, names, seat);
    if (lower === undefined) return;
    current.seat = Promise.resolve(lower);
    for (const member of members) {
      if (member.channel !== undefined) await consumeAll(member, member.channel, current, lower);
    }
    if (seat !== undefined) await leaveSeat(consuming, names, seat);
  }

  function receive(member: Member, channel: Channel, current: Session, partition: number, message: ConsumeMessage | null): void {
    if (message === null) {
      current.end(new Error("the broker cancelled a consumer: its queue has gone"));
      return;
    }
    const { holding } = member;
    if (holding === undefined || member.channel !== channel) return; // of a channel that is no more: it comes again
    const ackAll = (): void => {
      // Once the channel is another one, or closed, the tag means nothing.
      if (member.channel === channel) channel.ack(message);
    };
    let messages: QueueMessage[];
    try {
      const { partitions, sealer } = options;
      const opened = unbundle(message.properties.type, message.content, { partition, partitions, sealer });
      messages = opened.messages;
      if (opened.error !== undefined) options.onProblem({ kind: "sealed", error: opened.error });
    } catch (error) {
      options.onProblem({ kind: "poison", error: error as Error });
      putAside(current.publisher, partition, message).then(ackAll, () => undefined); // it stays unacknowledged, and comes again with the next connection
      return;
    }
    if (messages.length === 0) {
      ackAll();
      return;
    }
    const ack = holding.take(partition, messages.length, ackAll);
    for (const decoded of messages) member.options.onDelivery({ message: decoded, ack });
  }

  /** Whoever's events these were, perhaps a newer version's: they are covered before the queue forgets them. */
  async function putAside(publisher: RabbitPublisher, partition: number, { content, properties }: ConsumeMessage): Promise<void> {
    const { type, headers, messageId } = properties;
    await options.coverPartitions([partition]);
    await publisher.bury(content, { type, headers, messageId });
  }

  /** Makes the end of a channel the end of its connection. */
  function watch(channel: Channel, { end }: SessionEnd): void {
    channel.on("error", (error) => end(error));
    channel.on("close", () => end(undefined));
  }

  async function startLive(connection: ChannelModel, over: SessionEnd): Promise<Session["live"]> {
    const channel = await connection.createChannel();
    watch(channel, over);
    const { queue } = await channel.assertQueue("", { exclusive: true, autoDelete: true, durable: false });
    await channel.consume(
      queue,
      (message) => {
        if (message === null) return;
        try {
          decodeNotices(message.content).forEach((notice) => topics.notify(notice));
        } catch (error) {
          options.onProblem({ kind: "poison", error: error as Error }); // a notice may be lost
        }
      },
      { noAck: true },
    );
    if (topics.size > 0) await channel.bindQueue(queue, names.events, NOTICES_KEY);
    return { channel, queue };
  }

  async function startSession(over: SessionEnd): Promise<Session> {
    const connections: ChannelModel[] = [];
    const open = async (): Promise<ChannelModel> => {
      const connection = await connect(url.href, { timeout: CONNECT_TIMEOUT_MS, noDelay: true });
      connections.push(connection);
      connection.on("error", (error) => over.end(error));
      connection.on("close", (error) => over.end(error));
      return connection;
    };
    try {
      const connection = await open();
      const consuming = await open();
      lastHeard = performance.now();
      lastBytes = 0;
      const setUp = async (): Promise<Session> => {
        await declareTopology(connection, names, {
          partitions: options.partitions,
          coverPartitions: (partitions) => options.coverPartitions(partitions),
          onMissing: (partition) => options.onProblem({ kind: "partition-missing", partition }),
        });
        const publisher = await createRabbitPublisher(connection, {
          names,
          partitions: options.partitions,
          sealer: options.sealer,
          watch: (channel) => watch(channel, over),
          onReturned: () => over.end(new Error("the broker returned a message: its queue has gone")),
        });
        const live = await startLive(connection, over);
        const started: Session = {
          ...over,
          connections,
          consuming,
          publisher,
          live,
          seat: undefined,
          blocked: false,
        };
        connection.on("blocked", () => (started.blocked = true));
        connection.on("unblocked", () => (started.blocked = false));
        for (const member of members) if (!member.stopped) await startMember(member, started);
        return started;
      };
      // A connection that drops during set-up may leave a call that never answers.
      return await Promise.race([
        setUp(),
        over.ended.then((error) => {
          throw error instanceof Error ? error : new Error("the connection was lost while it was set up");
        }),
      ]);
    } catch (error) {
      connections.forEach(drop);
      throw error;
    }
  }

  /** Closes a connection that is lost, or no good, without waiting for an answer. */
  function drop(connection: ChannelModel): void {
    connection.on("error", () => undefined); // it is gone, whatever it still says
    connection.close().catch(() => undefined); // likewise
    streamOf(connection)?.destroy();
  }

  async function run(): Promise<void> {
    let delayMs = RECONNECT_FIRST_MS;
    while (!closing.signal.aborted) {
      const { promise: ended, resolve: end } = Promise.withResolvers<Error | undefined>();
      endSession = end;
      try {
        const started = await startSession({ ended, end });
        session = started;
        for (const member of members) if (member.channel === undefined && !member.stopped) void startNow(member, started);
        delayMs = RECONNECT_FIRST_MS;
        firstConnect();
        const error = await ended;
        session = undefined;
        for (const member of members) member.channel = undefined;
        started.publisher.abandon();
        if (closing.signal.aborted) {
          for (const connection of started.connections) await connection.close().catch(() => undefined); // ends it all the same
          return;
        }
        started.connections.forEach(drop);
        options.onProblem({ kind: "connection-lost", error });
        for (const member of members) member.options.onLost();
      } catch (error) {
        for (const member of members) member.channel = undefined;
        if (closing.signal.aborted) return;
        options.onProblem({ kind: "connect-failed", error: error as Error, retryInMs: delayMs });
      }
      await sleep(delayMs * (0.5 + Math.random()), undefined, { signal: closing.signal }).catch(() => undefined); // closing
      delayMs = Math.min(delayMs * 2, RECONNECT_MOST_MS);
    }
  }

  let firstConnect: () => void = () => undefined;
  const connected = new Promise<void>((resolve) => {
    firstConnect = resolve;
  });
  const heard = setInterval(() => {
    const bytes = session === undefined ? lastBytes : (streamOf(session.consuming)?.bytesRead ?? lastBytes);
    if (bytes !== lastBytes) lastHeard = performance.now();
    lastBytes = bytes;
  }, 1_000);
  heard.unref();

  /** Not one that has only begun to. */
  const consumesAll = ({ channel, tags, stopped }: Member): boolean =>
    stopped || (channel !== undefined && tags.length === options.partitions);
  let improving = false;
  const seats = setInterval(() => {
    const current = session;
    if (current?.seat === undefined || improving || ![...members].every(consumesAll)) return;
    improving = true;
    const improved = improveSeat(current).catch((error: unknown) => current.end(error as Error));
    void Promise.race([improved, current.ended]).then(() => (improving = false));
  }, LOOK_FOR_SEAT_EVERY_MS);
  seats.unref();
  const settling = setInterval(() => members.forEach(({ holding }) => holding?.tick()), SETTLE_KEPT_EVERY_MS);
  settling.unref();

  const running = run();
  // Starting works without a broker; where there is one, it is ready when this returns.
  await Promise.race([connected, sleep(CONNECT_TIMEOUT_MS, undefined, { ref: false })]);

  return {
    get connected() {
      return session !== undefined;
    },
    get blocked() {
      return session?.blocked ?? false;
    },
    silentMs: () => performance.now() - lastHeard,
    async publish(messages) {
      const current = session;
      if (current === undefined) return false;
      try {
        const taken = current.publisher.publish(messages);
        current.publisher.notify(noticesOf(messages));
        return await taken;
      } catch (error) {
        current.end(error as Error);
        return false;
      }
    },
    async consume(consumeOptions) {
      const member: Member = { options: consumeOptions, channel: undefined, tags: [], holding: undefined, stopped: false };
      members.add(member);
      if (session !== undefined) await startNow(member, session);
      const stop = async (): Promise<void> => {
        member.stopped = true;
        const { channel, tags } = member;
        member.holding?.stopKeeping();
        member.tags = [];
        // All at once: each may take long where much is delivered. A lost channel has no consumers.
        await Promise.all(tags.map(async (tag) => channel?.cancel(tag).catch(() => undefined)));
      };
      const consumer: Consumer = {
        stop,
        held: (partition) => member.holding?.held(partition) ?? 0,
        async close() {
          await stop();
          members.delete(member);
          const { channel } = member;
          member.channel = undefined;
          channel?.removeAllListeners("close");
          await channel?.close().catch(() => undefined); // a lost channel is closed
        },
      };
      return consumer;
    },
    notify(notices) {
      const current = session;
      if (current?.blocked === true) return; // it reads nothing, and what is written to it would pile up
      try {
        current?.publisher.notify(notices);
      } catch (error) {
        current?.end(error as Error);
      }
    },
    async subscribe(inbox, onNotice) {
      const topic = topics.add(inbox, onNotice);
      // Binding again does nothing, and is answered once the first binding is there.
      const rebind = async (verb: "bindQueue" | "unbindQueue"): Promise<void> => {
        const current = session;
        const bound = current?.live.channel[verb](current.live.queue, names.events, NOTICES_KEY);
        await bound?.catch((error: unknown) => current?.end(error as Error));
      };
      await rebind("bindQueue");
      return {
        async close() {
          topic.remove();
          if (topics.size === 0) await rebind("unbindQueue");
        },
      };
    },
    async close() {
      closing.abort();
      clearInterval(heard);
      clearInterval(seats);
      clearInterval(settling);
      endSession?.(undefined);
      await running;
    },
  };
}

/** The connection's socket, which amqplib's types do not show. */
function streamOf(connection: ChannelModel): { bytesRead: number; destroy(): void } | undefined {
  return (connection.connection as unknown as { stream?: { bytesRead: number; destroy(): void } }).stream;
}
