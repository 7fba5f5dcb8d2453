import { type Broker, bytesOf, noticesOf } from "@messenger/broker";
import { type Clock, createBatcher, type PlainEvent, type QueueMessage } from "@messenger/core";
import type { AppendedEvents, EndpointsChanged } from "@messenger/store";

/**
 * Publishes what was committed, and drops the outbox rows of what the broker confirmed. What it cannot
 * publish, the relay will.
 */
export interface Publisher {
  publishEvents(batch: { events: readonly PlainEvent[]; outboxId: number | null }): void;
  /** Has the senders of an inbox read its endpoints anew. */
  wake(changed: EndpointsChanged | null): void;
  /** Resolves when all that was handed over is settled, after 5 s at the latest: what is not published is covered. */
  idle(): Promise<void>;
}

/** Publishes events that have been appended, all of the same content, not sealed; empty where they tell of none. */
export function publishEvents(
  publisher: Publisher,
  { events, outboxId }: AppendedEvents,
  content: Uint8Array = new Uint8Array(),
): void {
  if (events.length === 0) return;
  publisher.publishEvents({ events: events.map((event) => ({ ...event, content, sealed: false })), outboxId });
}

/** What one outbox row covers. */
interface Batch {
  messages: readonly QueueMessage[];
  outboxId: number | null;
}

/** Batches, each of up to 500 messages. */
const MAX_PUBLISHED_TOGETHER = 8;
const SPACING_MS = 3;
/** Beyond so much that waits for the broker, which may be under an alarm, batches are left to their outbox rows. */
const MAX_WAITING_BATCHES = 100;
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** Of the contents of one batch. */
const MAX_BATCH_BYTES = 16 * 1024 * 1024;
/** How long a stop waits for the broker. */
const IDLE_WITHIN_MS = 5_000;
/** Nobody waits for an outbox row to go; the relay looks at it after 5 s. */
const DELETE_AFTER_MS = 100;

export function createPublisher(deps: {
  broker: Pick<Broker, "notify" | "publish">;
  clock: Clock;
  deleteOutbox(ids: readonly number[]): Promise<void>;
  onPublished: (messages: number, confirmed: boolean, ms: number) => void;
  onError(error: unknown): void;
}): Publisher {
  const { broker, clock } = deps;
  const underway = new Set<Promise<void>>();
  const publishes = createBatcher<Batch, boolean>({
    clock,
    maxBatch: MAX_PUBLISHED_TOGETHER,
    maxRunning: 1,
    spacingMs: SPACING_MS,
    async run(batches) {
      const messages = batches.flatMap((batch) => batch.messages);
      const startedAt = clock.monotonic();
      const confirmed = await broker.publish(messages);
      deps.onPublished(messages.length, confirmed, clock.monotonic() - startedAt);
      return batches.map(() => confirmed);
    },
  });
  const deletes = createBatcher<number, null>({
    clock,
    maxBatch: 1_000,
    maxRunning: 1,
    lingerMs: DELETE_AFTER_MS,
    async run(ids) {
      await deps.deleteOutbox(ids);
      return ids.map(() => null);
    },
  });

  let waitingBytes = 0;

  /**
   * A large message to a large group would be hundreds of copies of its content: senders are told to read it from
   * the log, and streams that it is there.
   */
  function withoutContents(batch: Batch): Batch {
    if (bytesOf(batch.messages) <= MAX_BATCH_BYTES) return batch;
    broker.notify(noticesOf(batch.messages));
    const inboxes = new Set(batch.messages.map(({ inbox }) => inbox));
    return { ...batch, messages: Array.from(inboxes, (inbox) => ({ type: "wake", inbox })) };
  }

  async function publish(given: Batch): Promise<void> {
    const batch = withoutContents(given);
    const bytes = bytesOf(batch.messages);
    if (publishes.waiting >= MAX_WAITING_BATCHES || waitingBytes + bytes > MAX_WAITING_BYTES) {
      deps.onPublished(batch.messages.length, false, 0);
      return;
    }
    waitingBytes += bytes;
    const confirmed = await publishes.add(batch).finally(() => (waitingBytes -= bytes));
    // A row that cannot be deleted makes a wake too many, no more.
    if (confirmed && batch.outboxId !== null) await deletes.add(batch.outboxId);
  }

  function start(messages: readonly QueueMessage[], outboxId: number | null): void {
    const done = publish({ messages, outboxId })
      .catch((error: unknown) => deps.onError(error))
      .finally(() => underway.delete(done));
    underway.add(done);
  }

  return {
    publishEvents: ({ events, outboxId }) =>
      start(
        events.map((event) => ({ type: "event", ...event })),
        outboxId,
      ),
    wake(changed) {
      if (changed !== null) start([{ type: "wake", inbox: changed.inbox }], changed.outboxId);
    },
    async idle() {
      const late = Promise.withResolvers<void>();
      const timer = clock.after(IDLE_WITHIN_MS, late.resolve);
      await Promise.race([Promise.all(underway), late.promise]);
      timer.cancel();
    },
  };
}
