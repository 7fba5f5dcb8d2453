import { BatcherFull, type Clock, createBatcher, createTimeLimit, type PlainEvent, sleep } from "@messenger/core";
import type { AppendedBatch, AppendResult, NewMessage } from "@messenger/store";

/** What became of a message: one whose group changed meanwhile is appended again. */
export type SettledResult = Exclude<AppendResult, { status: "stale" }>;

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
  append(message: OutgoingMessage): Promise<SettledResult>;
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
  /** Messages that one statement writes; 500 if not given. */
  maxBatch?: number;
}

/** A message that waits, and whoever waits for it. */
interface Item {
  message: OutgoingMessage;
  /** Its client was answered, as its time was up. */
  isGivenUp: boolean;
  giveUp(): void;
}

const NOT_IN_TIME = new Overloaded("it was not written in time");

type Settled = { result: AppendResult } | { error: unknown };

const MAX_BATCH = 500;
const MAX_STATEMENTS = 2;
const SPACING_MS = 2;
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 128 * 1024 * 1024;
/**
 * From its arrival a message is answered within this time, whatever waits before it: up to 250 ms earlier it
 * is given up.
 */
const ANSWER_WITHIN_MS = 9_500;
const RETRY_FIRST_MS = 50;
const RETRY_MOST_MS = 1_000;

/**
 * Writes messages that wait at the same moment together: one statement and one commit for all of them, two
 * statements at a time.
 */
export function createAppendQueue(deps: AppendQueueDeps): AppendQueue {
  const { clock } = deps;

  /** Why nothing is written in time: what the last statement failed with. */
  let why = NOT_IN_TIME;

  /**
   * One batch, again and again while the store is away: the ids are the same, so that it is written once.
   * What was given up meanwhile is not sent again.
   */
  async function appendSurely(items: readonly Item[]): Promise<{ sent: readonly Item[]; batch: AppendedBatch } | undefined> {
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MOST_MS)) {
      const sent = items.filter((item) => !item.isGivenUp);
      if (sent.length === 0) return undefined;
      try {
        const batch = await deps.appendMessages(sent.map((item) => item.message));
        why = NOT_IN_TIME;
        return { sent, batch };
      } catch (error) {
        const reason = deps.whyUnavailable(error);
        if (reason === undefined) throw error;
        deps.onError(error);
        why = new Overloaded(reason, { cause: error });
        await sleep(clock, delayMs);
      }
    }
  }

  async function run(all: readonly Item[]): Promise<readonly Settled[]> {
    const settled = new Map<Item, Settled>(all.map((item) => [item, { error: why }]));
    for (const [item, result] of await append(all)) settled.set(item, result);
    return all.map((item) => settled.get(item) as Settled);
  }

  /** What became of those that were sent. */
  async function append(items: readonly Item[]): Promise<readonly [Item, Settled][]> {
    const started = clock.monotonic();
    let appended: Awaited<ReturnType<typeof appendSurely>>;
    try {
      appended = await appendSurely(items);
    } catch (error) {
      if (items.length === 1) return items.map((item) => [item, { error }]);
      // One of them is at fault: each by itself, so that it fails alone.
      deps.onError(error);
      const each: [Item, Settled][] = [];
      for (const item of items) each.push(...(await append([item])));
      return each;
    }
    if (appended === undefined) return [];
    const { sent, batch } = appended;
    deps.onBatch(sent.length, clock.monotonic() - started);
    announce(
      sent.map((item) => item.message),
      batch,
    );
    return batch.results.map((result, n) => [sent[n] as Item, { result }]);
  }

  function announce(messages: readonly OutgoingMessage[], batch: AppendedBatch): void {
    if (batch.events.length === 0) return;
    const byId = new Map(messages.map((message) => [message.id, message]));
    const events = batch.events.map((event): PlainEvent => {
      const { plain, trace } = byId.get(event.messageId as string) as OutgoingMessage;
      return { ...event, content: plain, sealed: false, trace };
    });
    clock.soon(() => deps.onAppended({ events, outboxId: batch.outboxId }));
  }

  /** Of contents that are not written yet, or given up by a batch. */
  let waitingBytes = 0;
  const batcher = createBatcher<Item, Settled>({
    clock,
    run,
    maxBatch: deps.maxBatch ?? MAX_BATCH,
    maxRunning: MAX_STATEMENTS,
    spacingMs: SPACING_MS,
    maxWaiting: MAX_WAITING,
  });
  const limit = createTimeLimit<Item>(clock, ANSWER_WITHIN_MS, (item) => item.giveUp());

  /** Hands a message to the next batch. */
  function add(item: Item): Promise<Settled> {
    const { length } = item.message.content;
    waitingBytes += length;
    const written = batcher.add(item).finally(() => (waitingBytes -= length));
    written.catch(() => undefined); // it may end after its time is up
    return written;
  }

  return {
    async append(message) {
      if (waitingBytes > MAX_WAITING_BYTES) throw new Overloaded("too many messages wait to be written");
      const tooLate = Promise.withResolvers<never>();
      const item: Item = {
        message,
        isGivenUp: false,
        giveUp() {
          item.isGivenUp = true;
          tooLate.reject(why);
        },
      };
      limit.begin(item);
      try {
        for (;;) {
          const settled = await Promise.race([add(item), tooLate.promise]);
          if ("error" in settled) throw settled.error;
          if (settled.result.status !== "stale") return settled.result;
        }
      } catch (error) {
        if (error instanceof BatcherFull) throw new Overloaded("too many messages wait to be written", { cause: error });
        throw error;
      } finally {
        limit.end(item);
      }
    },
    get waiting() {
      return batcher.waiting;
    },
    idle: () => batcher.idle(),
  };
}
