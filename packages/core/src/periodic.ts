import type { Clock, Random } from "./clock.ts";

/** Resolves after `ms`, or as soon as `signal` is aborted. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Resolves with what `work` does, or with undefined once `signal` is aborted, whatever becomes of the work. */
export async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result | undefined> {
  if (signal.aborted) return undefined;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const onAbort = (): void => resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

export interface RetryOptions {
  clock: Clock;
  random: Random;
  /** The pause after the first failure; each later one is twice as long, up to `mostMs`. All ±50 %. */
  firstMs: number;
  mostMs: number;
  /** Ends the retrying: the error of the last attempt is thrown. */
  signal?: AbortSignal;
  /** Told of each failure after which another attempt follows. Throws what shall not be retried. */
  onFailure(error: unknown, retryInMs: number): void;
}

/** Tries until it succeeds. */
export async function retry<Result>(options: RetryOptions, attempt: () => Promise<Result>): Promise<Result> {
  for (let delayMs = options.firstMs; ; delayMs = Math.min(delayMs * 2, options.mostMs)) {
    try {
      return await attempt();
    } catch (error) {
      const { signal } = options;
      if (!(signal?.aborted ?? false)) options.onFailure(error, delayMs);
      await sleep(options.clock, delayMs * (0.5 + options.random.unit()), signal);
      if (signal?.aborted ?? false) throw error;
    }
  }
}

export interface Periodic {
  /** Starts no more rounds, aborts the signal of the one that runs, and waits for it up to 5 s. */
  stop(): Promise<void>;
}

/** How long a stop waits for the round that runs. */
const STOP_WITHIN_MS = 5_000;

/**
 * Runs `round` again and again, `everyMs` after the one before has ended, until it is stopped; the first one
 * at once if `atOnce`. `round` gets a signal that is aborted at the stop; what it throws before that goes to
 * `onError`, and the next round follows all the same.
 */
export function runPeriodically(options: {
  clock: Clock;
  everyMs: number;
  atOnce?: boolean;
  round(signal: AbortSignal): Promise<void>;
  onError(error: unknown): void;
}): Periodic {
  const { clock, everyMs } = options;
  const stopping = new AbortController();
  const { signal } = stopping;

  async function run(): Promise<void> {
    if (options.atOnce !== true) await sleep(clock, everyMs, signal);
    while (!signal.aborted) {
      try {
        await options.round(signal);
      } catch (error) {
        if (!signal.aborted) options.onError(error);
      }
      await sleep(clock, everyMs, signal);
    }
  }
  const running = run();

  return {
    async stop() {
      stopping.abort();
      const ended = new AbortController();
      await Promise.race([running, sleep(clock, STOP_WITHIN_MS, ended.signal)]);
      ended.abort();
    },
  };
}
