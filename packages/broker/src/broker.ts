import type { LiveNotice, QueueMessage, Sealer } from "@messenger/core";

/** A message that a consumer holds, until it acknowledges it or loses its connection. */
export interface Delivery {
  readonly message: QueueMessage;
  /**
   * Lets the broker forget the message. Belongs to the connection that the message came by: once that is
   * lost, it does nothing.
   */
  ack(): void;
}

export interface ConsumeOptions {
  /** Tells this consumer from all others, to whoever looks at the broker. */
  name: string;
  /**
   * How much of each partition it may hold unacknowledged: 1 to 65,535 bundles of up to 16 messages that were
   * published together; embedded, so many messages.
   */
  prefetch: number;
  /** Gets each message. Must not throw. */
  onDelivery(delivery: Delivery): void;
  /**
   * Called before the consumer gives up a partition that another one gets at once: must call `giveUp` once
   * nothing stands against that, and settle as it does. Not called for a partition again before it has
   * settled, but by another connection.
   */
  onYield(partition: number, giveUp: () => Promise<void>): Promise<void>;
  /**
   * Told before a delivery that another consumer may have had the partition since the one before: the broker
   * hands a partition over once its consumer holds nothing of it, and tells neither.
   */
  onMissed(partition: number): void;
  /** Told that the connection was lost: the deliveries so far will come again, to this consumer or to another. */
  onLost(): void;
}

export interface Consumer {
  /** Takes no further messages. Those it holds can still be acknowledged, until `close`. */
  stop(): Promise<void>;
  /** How much of a partition it holds, in what `prefetch` counts. */
  held(partition: number): number;
  /** Stops, and gives the messages it holds back to the broker. */
  close(): Promise<void>;
}

export interface Subscription {
  close(): Promise<void>;
}

/**
 * The queue between those who append events and those who push them. Every partition's messages come in the
 * order they were published in, to one consumer at a time; what is not acknowledged comes again.
 */
export interface Broker {
  /**
   * Publishes messages in this order, and resolves with true once the broker has all of them durably; with
   * false where it did not take all, or is not there, or too many are unconfirmed: they must then be covered
   * otherwise. Never rejects.
   */
  publish(messages: readonly QueueMessage[]): Promise<boolean>;
  /**
   * Consumes all partitions, for as long as the broker is open, through any number of lost connections.
   * Partitions are shared among brokers: of two consumers of one broker the second stands by.
   */
  consume(options: ConsumeOptions): Promise<Consumer>;
  /**
   * Is told of new events in an inbox. Notices may be lost or repeated; they only say that there is something
   * to read.
   */
  subscribe(inbox: number, onNotice: (notice: LiveNotice) => void): Promise<Subscription>;
  /** Tells whoever is subscribed at this moment; what cannot be told now is lost. */
  notify(notices: readonly LiveNotice[]): void;
  /** Whether it can be published to now. */
  readonly connected: boolean;
  /** Whether it is short of memory or disk, and reads nothing that is published until that is over. */
  readonly blocked: boolean;
  /** Milliseconds since the broker was last heard of; 0 where that has no meaning. */
  silentMs(): number;
  close(): Promise<void>;
}

export interface BrokerOptions {
  /** `amqp://user:password@host:port/vhost`, or `in-process:`. */
  url: string;
  /** How many partitions there are; the same for all processes. */
  partitions: number;
  /** The first part of all names of exchanges and queues. */
  namespace?: string;
  /** Seals what leaves this process. */
  sealer: Sealer;
  /**
   * Covers all undelivered events of partitions: called before queues that were missing are made, and before
   * a message that cannot be read is put aside.
   */
  coverPartitions(partitions: readonly number[]): Promise<void>;
  /** Told of what goes wrong, and is put right by the broker itself. */
  onProblem(problem: BrokerProblem): void;
}

export type BrokerProblem =
  | { kind: "connection-lost"; error: Error | undefined }
  | { kind: "connect-failed"; error: Error; retryInMs: number }
  | { kind: "partition-missing"; partition: number }
  /** A message that could not be read; it was put aside in the dead queue. */
  | { kind: "poison"; error: Error }
  /**
   * Contents that were sealed under a secret that is not known here, or were changed on their way; they are
   * read from the log instead.
   */
  | { kind: "sealed"; error: Error };

/** So many messages may be published and not confirmed; also how many the in-process broker holds. */
export const MAX_UNCONFIRMED = 20_000;
/** So much of them, likewise. */
export const MAX_UNCONFIRMED_BYTES = 256 * 1024 * 1024;

/** The bytes of their contents: what messages count for against a limit. */
export function bytesOf(messages: readonly QueueMessage[]): number {
  return messages.reduce((sum, message) => sum + (message.type === "event" ? message.content.length : 0), 0);
}
