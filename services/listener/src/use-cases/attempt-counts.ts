import type { Clock } from "@messenger/core";

/** Counts what happens under each key within a window of time. */
export interface AttemptCounts {
  /** How often it happened under this key within the window. */
  of(key: string): number;
  add(key: string): void;
  /** Seconds until nothing of this key counts any more: at least 1. */
  secondsLeft(key: string): number;
}

/** Counts what is under way under each key. */
export interface UnderwayCounts {
  of(key: string): number;
  begin(key: string): void;
  end(key: string): void;
}

export function createUnderwayCounts(): UnderwayCounts {
  const counts = new Map<string, number>();
  return {
    of: (key) => counts.get(key) ?? 0,
    begin: (key) => void counts.set(key, (counts.get(key) ?? 0) + 1),
    end(key) {
      const left = (counts.get(key) ?? 0) - 1;
      if (left > 0) counts.set(key, left);
      else counts.delete(key);
    },
  };
}

/** Keys kept: of more, those that were there first count no more. */
const MAX_KEYS = 100_000;

/** A fixed window from the first event of each key on. */
export function createAttemptCounts(clock: Clock, windowMs: number): AttemptCounts {
  const counts = new Map<string, { count: number; until: number }>();

  function find(key: string): { count: number; until: number } | undefined {
    const found = counts.get(key);
    if (found === undefined || found.until > clock.monotonic()) return found;
    counts.delete(key);
    return undefined;
  }

  return {
    of: (key) => find(key)?.count ?? 0,
    add(key) {
      const found = find(key);
      if (found !== undefined) {
        found.count += 1;
        return;
      }
      counts.set(key, { count: 1, until: clock.monotonic() + windowMs });
      const [oldest] = counts.keys();
      if (counts.size > MAX_KEYS && oldest !== undefined) counts.delete(oldest);
    },
    secondsLeft: (key) => Math.max(1, Math.ceil(((find(key)?.until ?? 0) - clock.monotonic()) / 1000)),
  };
}
