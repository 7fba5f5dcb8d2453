import { type Batcher, type Clock, createBatcher, type InboxEvent, type Random, retry, sleep } from "@messenger/core";
import {
  type AskedLetter,
  type ClearAnswer,
  isUnavailable,
  type LeaseAnswer,
  type MailboxRow,
  type Progress,
} from "@messenger/store";
import { createRecorder, type Recorder, type Recorded } from "./recorder.ts";
import type { SenderLog, SenderStore } from "./sender.ts";

/**
 * The sender's statements, each for many at once. They try until they succeed; they reject only when the
 * sender stops.
 */
export interface StoreCalls {
  recorder: Recorder;
  load: (inbox: number) => Promise<MailboxRow | null>;
  takeLease: (endpoint: number) => Promise<LeaseAnswer | null>;
  holdLease: (endpoint: number) => Promise<boolean>;
  endLease: (endpoint: number) => Promise<void>;
  clearLevel: (endpoint: number) => Promise<ClearAnswer>;
  readEvents: (inbox: number, after: number, limit: number) => Promise<readonly InboxEvent[]>;
  readAsked: (endpoint: number) => Promise<readonly AskedLetter[]>;
  /** Makes an inbox's endpoints that are behind due in a moment. */
  defer(inbox: number): Promise<void>;
}

const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 5_000;
const MAX_BATCH = 500;
/** Inboxes whose logs are read by one statement. */
const READS = 20;
/** How long a report waits that the database refuses, before its endpoint is read anew. */
const REFUSED_PAUSE_MS = 5_000;

export function createStoreCalls(deps: {
  name: string;
  store: SenderStore;
  clock: Clock;
  random: Random;
  log: SenderLog;
  /** Bytes of an inbox's log that are read at once, or one event. */
  readBytes: number;
  /** The sender stops. */
  signal: AbortSignal;
}): StoreCalls {
  const { name, store, clock, random, log, signal } = deps;

  /** The store is away, or there is a fault that only time or an operator can mend. */
  function persist<Result>(what: string, run: () => Promise<Result>): Promise<Result> {
    return retry(
      {
        clock,
        random,
        firstMs: RETRY_FIRST_MS,
        mostMs: RETRY_MOST_MS,
        signal,
        onFailure: (error, retryInMs) => log.warn({ err: error, retryInMs }, `could not ${what}`),
      },
      run,
    );
  }

  function batch<Item, Result>(what: string, run: (items: readonly Item[]) => Promise<readonly Result[]>, maxBatch = MAX_BATCH) {
    return createBatcher<Item, Result>({ clock, maxBatch, maxRunning: 2, run: (items) => persist(what, () => run(items)) });
  }

  /**
   * Writes reports together; where the database refuses them, each by itself, so that one that is at fault
   * holds up nobody else's.
   */
  async function record(reports: readonly Progress[]): Promise<readonly Recorded[]> {
    try {
      return await store.recordProgress(name, reports);
    } catch (error) {
      if (isUnavailable(error)) throw error;
      const [only] = reports;
      if (reports.length > 1 || only === undefined) {
        const each: Recorded[] = [];
        for (const report of reports) each.push(...(await record([report])));
        return each;
      }
      log.error({ err: error, endpoint: only.endpoint }, "the database refuses a report: writing it without its attempts");
      return recordBare(only);
    }
  }

  async function recordBare(report: Progress): Promise<readonly Recorded[]> {
    const deadLetters = report.deadLetters.map(({ seq }) => ({ seq, reason: "its reason could not be written" }));
    try {
      return await store.recordProgress(name, [{ ...report, attempts: [], deadLetters }]);
    } catch (error) {
      if (isUnavailable(error)) throw error;
      log.error({ err: error, endpoint: report.endpoint }, "the database refuses a report: its endpoint is read anew");
      return [sleep(clock, REFUSED_PAUSE_MS, signal).then(() => null)]; // nobody else's waits for that
    }
  }

  const loads = batch("load mailboxes", async (inboxes: readonly number[]) => {
    const found = new Map((await store.loadMailboxes(inboxes)).map((row) => [row.inbox, row]));
    return inboxes.map((inbox) => found.get(inbox) ?? null);
  });
  const leases = batch("take leases", (endpoints: readonly number[]) => store.takeLeases(name, endpoints));
  const holds = batch("hold leases", (endpoints: readonly number[]) => store.holdLeases(name, endpoints));
  const ends: Batcher<number, null> = batch("end leases", async (endpoints: readonly number[]) => {
    await store.endLeases(name, endpoints);
    return endpoints.map(() => null);
  });
  const clears = batch("give leases back", (endpoints: readonly number[]) => store.clearLevel(name, endpoints));
  const reads = batch(
    "read the log",
    (wanted: readonly { inbox: number; after: number; limit: number }[]) => store.readEvents(wanted, deps.readBytes),
    READS,
  );
  const deferrals: Batcher<number, null> = batch("defer inboxes", async (inboxes: readonly number[]) => {
    await store.deferInboxes(inboxes);
    return inboxes.map(() => null);
  });

  return {
    recorder: createRecorder(clock, (reports) => persist("record progress", () => record(reports))),
    load: (inbox) => loads.add(inbox),
    takeLease: (endpoint) => leases.add(endpoint),
    holdLease: (endpoint) => holds.add(endpoint),
    async endLease(endpoint) {
      await ends.add(endpoint);
    },
    clearLevel: (endpoint) => clears.add(endpoint),
    readEvents: (inbox, after, limit) => reads.add({ inbox, after, limit }),
    readAsked: (endpoint) => persist("read dead letters", () => store.readAsked(endpoint, deps.readBytes)),
    async defer(inbox) {
      await deferrals.add(inbox);
    },
  };
}
