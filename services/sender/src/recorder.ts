import type { Clock } from "@messenger/core";
import type { Progress, ProgressAnswer } from "@messenger/store";

/** What became of a report; a promise where the others need not wait for that. */
export type Recorded = ProgressAnswer | null | Promise<ProgressAnswer | null>;

/** Writes what lanes report, many in one statement. */
export interface Recorder {
  /**
   * Resolves once the report is committed: null where the endpoint is gone or of another generation. Rejects
   * only when the sender stops. Reports of one endpoint that wait together are written as one, the later
   * one's state counting.
   */
  report(progress: Progress): Promise<ProgressAnswer | null>;
  /** Has what waits written at once: somebody waits for it. */
  hurry(): void;
}

interface Pending {
  progress: Progress;
  settled: PromiseWithResolvers<ProgressAnswer | null>;
}

const MAX_BATCH = 1_000;
/**
 * How long the first report waits for company, unless it is hurried. Nobody waits for what lanes report while
 * they push on, so a little later costs nothing, and saves most of the statements under a light load: an
 * embedded database spends 1.2 ms on each, in the thread that everything else runs in.
 */
const LINGER_MS = 10;

function merge(earlier: Progress, later: Progress): Progress {
  return {
    ...later,
    cursor: Math.max(earlier.cursor, later.cursor),
    retryInMs: later.retryInMs ?? earlier.retryInMs,
    off: later.off ?? earlier.off,
    renew: earlier.renew || later.renew,
    ensureDue: earlier.ensureDue || later.ensureDue,
    attempts: [...earlier.attempts, ...later.attempts],
    deadLetters: [...earlier.deadLetters, ...later.deadLetters],
    replayed: [...earlier.replayed, ...later.replayed],
    replayDone: earlier.replayDone || later.replayDone,
  };
}

/**
 * `write` must not return before the batch is committed, however often it has to try; it rejects only when
 * the sender stops.
 */
export function createRecorder(clock: Clock, write: (batch: readonly Progress[]) => Promise<readonly Recorded[]>): Recorder {
  let waiting = new Map<string, Pending>();
  let writing: Promise<void> | undefined;
  let hurried = false;
  let endLinger: () => void = () => undefined;

  function takeBatch(): readonly Pending[] {
    const all = waiting;
    waiting = new Map();
    if (all.size <= MAX_BATCH) return [...all.values()];
    const batch: Pending[] = [];
    for (const [key, pending] of all) {
      if (batch.length < MAX_BATCH) batch.push(pending);
      else waiting.set(key, pending);
    }
    return batch;
  }

  function linger(): Promise<void> {
    return new Promise((resolve) => {
      const timer = clock.after(LINGER_MS, resolve);
      endLinger = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  async function writeAll(): Promise<void> {
    // One statement at a time, each taking all that waits.
    while (waiting.size > 0) {
      if (!hurried) await linger();
      hurried = false;
      const batch = takeBatch();
      try {
        const answers = await write(batch.map((pending) => pending.progress));
        batch.forEach((pending, n) => pending.settled.resolve(answers[n] ?? null));
      } catch (error) {
        for (const pending of batch) pending.settled.reject(error);
      }
    }
    writing = undefined;
  }

  return {
    hurry() {
      hurried = waiting.size > 0; // also while others are being written
      endLinger();
    },
    report(progress) {
      // A report of another generation is another row: only one of them can match.
      const key = `${progress.endpoint}/${progress.generation}`;
      const found = waiting.get(key);
      if (found !== undefined) {
        found.progress = merge(found.progress, progress);
        return found.settled.promise;
      }
      const settled = Promise.withResolvers<ProgressAnswer | null>();
      waiting.set(key, { progress, settled });
      writing ??= writeAll();
      return settled.promise;
    },
  };
}
