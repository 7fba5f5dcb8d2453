import type { LiveNotice, QueueMessage, Sealer } from "@messenger/core";
import type { Channel, ChannelModel, Options } from "amqplib";
import { bytesOf, MAX_UNCONFIRMED, MAX_UNCONFIRMED_BYTES } from "./broker.ts";
import { bundle, BUNDLE_TYPE, encodeNotices } from "./encoding.ts";
import { NOTICES_KEY, type Names } from "./topology.ts";

export interface RabbitPublisher {
  /** See `Broker.publish`. */
  publish(messages: readonly QueueMessage[]): Promise<boolean>;
  /** Tells live subscriptions, of all processes; unconfirmed. */
  notify(notices: readonly LiveNotice[]): void;
  /** Puts aside what could not be read. @throws when the broker did not take it. */
  bury(body: Buffer, properties: Options.Publish): Promise<void>;
  /** Lets go of all that is unconfirmed: the connection was lost. */
  abandon(): void;
}

interface Batch {
  /** Bundles. */
  unconfirmed: number;
  bytes: number;
  taken: boolean;
  resolve(taken: boolean): void;
}

/**
 * Publishes over one connection, with confirms. A message that comes back for want of a queue is confirmed,
 * too, but its return comes first: the two are matched by message id, a count. One that came back means that
 * a queue has gone, which `onReturned` is told.
 */
export async function createRabbitPublisher(
  connection: ChannelModel,
  options: { names: Names; partitions: number; sealer: Sealer; watch: (channel: Channel) => void; onReturned(): void },
): Promise<RabbitPublisher> {
  const { names, partitions, sealer } = options;
  const channel = await connection.createConfirmChannel();
  const notices = await connection.createChannel();
  options.watch(channel);
  options.watch(notices);
  const batches = new Set<Batch>();
  const returned = new Set<string>();
  let unconfirmed = 0;
  let unconfirmedBytes = 0;
  let published = 0;

  channel.on("return", (message) => {
    const id: unknown = message.properties.messageId;
    if (typeof id === "string") returned.add(id);
    options.onReturned();
  });

  function settle(batch: Batch, id: string, size: number, error: unknown): void {
    unconfirmed -= size;
    batch.unconfirmed -= 1;
    if (returned.delete(id) || error !== null) batch.taken = false;
    if (batch.unconfirmed > 0 || !batches.delete(batch)) return;
    unconfirmedBytes -= batch.bytes;
    batch.resolve(batch.taken);
  }

  return {
    publish(messages) {
      if (messages.length === 0) return Promise.resolve(true);
      const bytes = bytesOf(messages);
      if (unconfirmed + messages.length > MAX_UNCONFIRMED || unconfirmedBytes + bytes > MAX_UNCONFIRMED_BYTES) {
        return Promise.resolve(false);
      }
      unconfirmed += messages.length;
      unconfirmedBytes += bytes;
      return new Promise((resolve) => {
        const bundles = bundle(messages, partitions, sealer);
        const batch: Batch = { unconfirmed: bundles.length, bytes, taken: true, resolve };
        batches.add(batch);
        for (const { partition, body, size } of bundles) {
          published += 1;
          const messageId = String(published);
          const properties = { type: BUNDLE_TYPE, messageId, persistent: true, mandatory: true };
          channel.sendToQueue(names.partition(partition), body, properties, settle.bind(undefined, batch, messageId, size));
        }
      });
    },
    notify(list) {
      if (list.length > 0) notices.publish(names.events, NOTICES_KEY, encodeNotices(list));
    },
    bury(body, properties) {
      return new Promise((resolve, reject) => {
        channel.sendToQueue(names.dead, body, { ...properties, persistent: true }, (error: unknown) => {
          if (error === null) resolve();
          else reject(new Error("the broker did not take a dead message", { cause: error }));
        });
      });
    },
    abandon() {
      for (const batch of batches) batch.resolve(false);
      batches.clear();
    },
  };
}
