import type { Broker } from "@messenger/broker";
import { type Clock, createBatcher, type PlainEvent, type QueueMessage } from "@messenger/core";
import type { EndpointsChanged } from "@messenger/store";

/** Publishes what was committed, and drops the outbox rows of what the broker confirmed. What it cannot publish, the relay will. */
export interface Publisher {
  publishEvents(batch: { events: readonly PlainEvent[]; outboxId: number | null }): void;
  /** Has the senders of an inbox read its endpoints anew. */
  wake(changed: EndpointsChanged | null): void;
  /** Resolves when all that was handed over is settled. */
  idle(): Promise<void>;
}

/** What one outbox row covers. */
interface Batch {
  messages: readonly QueueMessage[];
  outboxId: number | null;
}

/** Batches, each of up to 500 messages. */
const MAX_PUBLISHED_TOGETHER = 8;
const SPACING_MS = 3;
/** Nobody waits for an outbox row to go; the relay looks at it after 5 s. */
const DELETE_AFTER_MS = 100;

export function createPublisher(deps: {
  broker: Pick<Broker, "publish">;
  clock: Clock;
  deleteOutbox(ids: readonly number[]): Promise<void>;
  onPublished(messages: number, confirmed: boolean): void;
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
      const confirmed = await broker.publish(messages);
      deps.onPublished(messages.length, confirmed);
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

  async function publish(batch: Batch): Promise<void> {
    const confirmed = await publishes.add(batch);
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
      await Promise.all(underway);
    },
  };
}
