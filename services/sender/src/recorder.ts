import type { Progress, ProgressAnswer } from "@messenger/store";

/** Writes what lanes report, many in one statement. */
export interface Recorder {
  /**
   * Resolves once the report is committed: null where the endpoint is gone or of another generation. Rejects only when the sender stops.
   * Reports of one endpoint that wait together are written as one, the later one's state counting.
   */
  report(progress: Progress): Promise<ProgressAnswer | null>;
  /** Resolves when all that was reported so far is committed. */
  flush(): Promise<void>;
}

interface Pending {
  progress: Progress;
  settled: PromiseWithResolvers<ProgressAnswer | null>;
}

const MAX_BATCH = 1_000;

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
  };
}

/** `write` must not return before the batch is committed, however often it has to try; it rejects only when the sender stops. */
export function createRecorder(write: (batch: readonly Progress[]) => Promise<readonly (ProgressAnswer | null)[]>): Recorder {
  let waiting = new Map<string, Pending>();
  let writing: Promise<void> | undefined;

  async function writeAll(): Promise<void> {
    while (waiting.size > 0) {
      // What is reported in this turn of the event loop joins the batch; then one statement at a time, each taking all that waits.
      await Promise.resolve();
      const batch = [...waiting.values()].slice(0, MAX_BATCH);
      const rest = [...waiting].slice(MAX_BATCH);
      waiting = new Map(rest);
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
    async flush() {
      await writing;
    },
  };
}
