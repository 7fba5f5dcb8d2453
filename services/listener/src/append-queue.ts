import { BatcherFull, type Clock, createBatcher, type PlainEvent } from "@messenger/core";
import type { AppendedBatch, AppendResult, NewMessage } from "@messenger/store";

/** The store did not answer in time, or more wait than may; nothing is known to be lost, and trying again is safe. */
export class Overloaded extends Error {
  override readonly name = "Overloaded";
}

/** A message on its way into the store, and as it is published once it is there. */
export interface OutgoingMessage extends NewMessage {
  /** Its content, not sealed. */
  plain: Uint8Array;
  /** Of the request. */
  trace?: string | undefined;
}

export interface AppendQueue {
  /**
   * Resolves once the message is durable, or is known not to be written.
   * @throws {Overloaded}
   */
  append(message: OutgoingMessage): Promise<AppendResult>;
  readonly waiting: number;
  /** Resolves when nothing waits any more. */
  idle(): Promise<void>;
}

export interface AppendQueueDeps {
  clock: Clock;
  appendMessages(messages: readonly NewMessage[]): Promise<AppendedBatch>;
  /** Why the statement failed, if it is for a reason that passes, its outcome being unknown. */
  whyUnavailable(error: unknown): string | undefined;
  /** Told of what was appended, after the clients are answered. */
  onAppended(batch: { events: readonly PlainEvent[]; outboxId: number | null }): void;
  onBatch(size: number, ms: number): void;
  onError(error: unknown): void;
}

type Settled = { result: AppendResult } | { error: unknown };

const MAX_BATCH = 500;
const MAX_STATEMENTS = 2;
const SPACING_MS = 2;
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 128 * 1024 * 1024;
const TRY_FOR_MS = 10_000;
const RETRY_FIRST_MS = 50;
const RETRY_MOST_MS = 1_000;

/**
 * Writes messages that wait at the same moment together: one statement and one commit for all of them, two statements at a time.
 */
export function createAppendQueue(deps: AppendQueueDeps): AppendQueue {
  const { clock } = deps;

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      clock.after(ms, resolve);
    });
  }

  /** One batch, again and again while the store is away: the ids are the same, so that it is written once. */
  async function appendSurely(messages: readonly NewMessage[], deadline: number): Promise<AppendedBatch> {
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MOST_MS)) {
      try {
        return await deps.appendMessages(messages);
      } catch (error) {
        const reason = deps.whyUnavailable(error);
        if (reason === undefined) throw error;
        deps.onError(error);
        if (clock.monotonic() + delayMs > deadline) throw new Overloaded(reason, { cause: error });
        await sleep(delayMs);
      }
    }
  }

  async function run(messages: readonly OutgoingMessage[], deadline: number): Promise<readonly Settled[]> {
    const started = clock.monotonic();
    let batch: AppendedBatch;
    try {
      batch = await appendSurely(messages, deadline);
    } catch (error) {
      if (error instanceof Overloaded || messages.length === 1) return messages.map(() => ({ error }));
      // One of them is at fault: each by itself, so that it fails alone.
      deps.onError(error);
      const settled: Settled[] = [];
      for (const message of messages) {
        const before = settled.at(-1);
        // The store has gone meanwhile: the others need not wait for it one after the other.
        if (before !== undefined && "error" in before && before.error instanceof Overloaded) settled.push(before);
        else settled.push(...(await run([message], deadline)));
      }
      return settled;
    }
    deps.onBatch(messages.length, clock.monotonic() - started);
    announce(messages, batch);
    return batch.results.map((result) => ({ result }));
  }

  function announce(messages: readonly OutgoingMessage[], batch: AppendedBatch): void {
    if (batch.events.length === 0) return;
    const byId = new Map(messages.map((message) => [message.id, message]));
    const events = batch.events.map((event): PlainEvent => {
      const { plain, trace } = byId.get(event.messageId) as OutgoingMessage;
      return { ...event, content: plain, sealed: false, trace };
    });
    clock.soon(() => deps.onAppended({ events, outboxId: batch.outboxId }));
  }

  /** Of contents whose clients wait for an answer. */
  let waitingBytes = 0;
  const batcher = createBatcher<OutgoingMessage, Settled>({
    clock,
    run: (messages) => run(messages, clock.monotonic() + TRY_FOR_MS),
    maxBatch: MAX_BATCH,
    maxRunning: MAX_STATEMENTS,
    spacingMs: SPACING_MS,
    maxWaiting: MAX_WAITING,
  });

  return {
    async append(message) {
      if (waitingBytes > MAX_WAITING_BYTES) throw new Overloaded("too many messages wait to be written");
      let settled: Settled;
      waitingBytes += message.content.length;
      try {
        settled = await batcher.add(message);
      } catch (error) {
        if (error instanceof BatcherFull) throw new Overloaded("too many messages wait to be written", { cause: error });
        throw error;
      } finally {
        waitingBytes -= message.content.length;
      }
      if ("error" in settled) throw settled.error;
      return settled.result;
    },
    get waiting() {
      return batcher.waiting;
    },
    idle: () => batcher.idle(),
  };
}
