/** What came of requests that were made at a steady rate. */
export interface Steady {
  asked: number;
  /** Milliseconds from when each successful one was due until it was answered. */
  took: Float64Array;
  /** How many failed for which reason. */
  failures: ReadonlyMap<string, number>;
}

const TICK_MS = 1;

/**
 * Calls `ask` at a steady rate, whatever becomes of the calls before (open loop), and waits until all have ended.
 * `ask` fails by throwing.
 */
export async function steadily(options: {
  perSecond: number;
  seconds: number;
  ask: (n: number) => Promise<unknown>;
}): Promise<Steady> {
  const { perSecond, seconds, ask } = options;
  const total = Math.round(perSecond * seconds);
  const startedAt = performance.now();
  const took: number[] = [];
  const failures = new Map<string, number>();
  const asked: Promise<void>[] = [];

  async function askAt(n: number, due: number): Promise<void> {
    try {
      await ask(n);
      took.push(performance.now() - due);
    } catch (error) {
      const reason = (error as Error).message;
      failures.set(reason, (failures.get(reason) ?? 0) + 1);
    }
  }

  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      for (let n = asked.length; n < total; n += 1) {
        const due = startedAt + (n * 1000) / perSecond;
        if (due > performance.now()) return;
        asked.push(askAt(n, due));
      }
      clearInterval(timer);
      resolve();
    }, TICK_MS);
  });
  await Promise.all(asked);
  return { asked: total, took: Float64Array.from(took), failures };
}
