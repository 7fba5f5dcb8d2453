import type { Channel, ChannelModel } from "amqplib";

/** The names of what Messenger keeps in RabbitMQ. */
export interface Names {
  /** A topic exchange: notices of new events, under {@link NOTICES_KEY}. */
  events: string;
  /** What could not be read. */
  dead: string;
  partition(partition: number): string;
  /** An exclusive queue without messages: who has it has the seat. */
  seat(seat: number): string;
}

/** The routing key of notices. */
export const NOTICES_KEY = "notices";

export function namesIn(namespace: string): Names {
  return {
    events: `${namespace}.events`,
    dead: `${namespace}.dead`,
    partition: (partition) => `${namespace}.push.${partition}`,
    seat: (seat) => `${namespace}.seat.${seat}`,
  };
}

const QUORUM = { durable: true, arguments: { "x-queue-type": "quorum" } };
const PARTITION = { durable: true, arguments: { "x-queue-type": "quorum", "x-single-active-consumer": true } };
export const NOT_FOUND = 404;

/** Asks the broker on a channel of its own: the broker closes the channel on which it refuses something. */
export async function onChannel<Result>(connection: ChannelModel, ask: (channel: Channel) => Promise<Result>): Promise<Result> {
  const channel = await connection.createChannel();
  channel.on("error", () => undefined); // reported by the rejected call, too
  const result = await ask(channel);
  await channel.close();
  return result;
}

async function isMissing(connection: ChannelModel, queue: string): Promise<boolean> {
  try {
    await onChannel(connection, (channel) => channel.checkQueue(queue));
    return false;
  } catch (error) {
    if ((error as { code?: unknown }).code === NOT_FOUND) return true;
    throw error;
  }
}

/**
 * Declares everything, on every connect. A partition queue that is missing (the broker was wiped, or the
 * queue deleted) is covered first, and only then made. Partition queues are published to by their names,
 * through the default exchange, never by a binding: so a mandatory message for one that is missing always
 * comes back, whatever else is bound anywhere.
 */
export async function declareTopology(
  connection: ChannelModel,
  names: Names,
  options: {
    partitions: number;
    coverPartitions(partitions: readonly number[]): Promise<void>;
    onMissing(partition: number): void;
  },
): Promise<void> {
  await onChannel(connection, async (channel) => {
    await channel.assertExchange(names.events, "topic", { durable: true });
    await channel.assertQueue(names.dead, QUORUM);
    const missing: number[] = [];
    for (let partition = 0; partition < options.partitions; partition += 1) {
      if (await isMissing(connection, names.partition(partition))) missing.push(partition);
    }
    if (missing.length === 0) return;
    missing.forEach((partition) => options.onMissing(partition));
    await options.coverPartitions(missing);
    for (const partition of missing) await channel.assertQueue(names.partition(partition), PARTITION);
  });
}
