import { partitionOf, type QueueMessage } from "@messenger/core";
import {
  type Broker,
  type BrokerOptions,
  type Consumer,
  type ConsumeOptions,
  type Delivery,
  MAX_UNCONFIRMED,
  MAX_UNCONFIRMED_BYTES,
  bytesOf,
} from "./broker.ts";
import { createLiveTopics, noticesOf } from "./live-topics.ts";

interface Queued {
  message: QueueMessage;
  place: number;
}

interface Member {
  options: ConsumeOptions;
  stopped: boolean;
  /** What it holds, for each partition. */
  held: Map<Queued, undefined>[];
}

/**
 * A broker in this process's memory, for the embedded mode. It is empty when it starts, like a broker whose
 * disk was wiped, and what it should hold is recovered the same way: every partition is covered before it
 * opens. One consumer is active at a time, the others wait.
 */
export async function openInProcessBroker(options: BrokerOptions): Promise<Broker> {
  await options.coverPartitions(Array.from({ length: options.partitions }, (_, partition) => partition));

  const queues: Queued[][] = Array.from({ length: options.partitions }, () => []);
  const members: Member[] = [];
  const topics = createLiveTopics();
  let size = 0;
  let sizeBytes = 0;
  let places = 0;
  let scheduled = false;
  let closed = false;

  function deliver(member: Member, partition: number, queued: Queued): void {
    const held = member.held[partition] as Map<Queued, undefined>;
    held.set(queued, undefined);
    const delivery: Delivery = {
      message: queued.message,
      ack() {
        if (!held.delete(queued)) return;
        size -= 1;
        sizeBytes -= bytesOf([queued.message]);
        schedule();
      },
    };
    member.options.onDelivery(delivery);
  }

  function pump(): void {
    const active = members[0];
    if (active === undefined || active.stopped) return;
    queues.forEach((queue, partition) => {
      const room = active.options.prefetch - (active.held[partition] as Map<Queued, undefined>).size;
      for (const queued of queue.splice(0, Math.max(room, 0))) deliver(active, partition, queued);
    });
  }

  // Never inside `publish` or `ack`: who calls those is in the middle of something.
  function schedule(): void {
    if (scheduled || closed) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      if (!closed) pump();
    });
  }

  function leave(member: Member): void {
    const place = members.indexOf(member);
    if (place === -1) return;
    members.splice(place, 1);
    member.held.forEach((held, partition) => {
      const returned = [...held.keys()].sort((a, b) => a.place - b.place);
      held.clear();
      queues[partition]?.unshift(...returned);
    });
    schedule();
  }

  return {
    connected: true,
    blocked: false,
    silentMs: () => 0,
    publish(messages) {
      const bytes = bytesOf(messages);
      if (closed || size + messages.length > MAX_UNCONFIRMED || sizeBytes + bytes > MAX_UNCONFIRMED_BYTES)
        return Promise.resolve(false);
      for (const message of messages) {
        queues[partitionOf(message.inbox, options.partitions)]?.push({ message, place: places });
        places += 1;
      }
      size += messages.length;
      sizeBytes += bytes;
      for (const notice of noticesOf(messages)) setImmediate(() => topics.notify(notice));
      schedule();
      return Promise.resolve(true);
    },
    consume(consumeOptions) {
      const member: Member = { options: consumeOptions, stopped: false, held: queues.map(() => new Map()) };
      members.push(member);
      schedule();
      const consumer: Consumer = {
        stop() {
          member.stopped = true;
          return Promise.resolve();
        },
        held: (partition) => member.held[partition]?.size ?? 0,
        close() {
          member.stopped = true;
          leave(member);
          return Promise.resolve();
        },
      };
      return Promise.resolve(consumer);
    },
    notify(notices) {
      for (const notice of notices) setImmediate(() => topics.notify(notice));
    },
    subscribe(inbox, onNotice) {
      const topic = topics.add(inbox, onNotice);
      return Promise.resolve({
        close() {
          topic.remove();
          return Promise.resolve();
        },
      });
    },
    close() {
      closed = true;
      members.length = 0;
      return Promise.resolve();
    },
  };
}
