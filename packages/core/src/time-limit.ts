import type { Clock, Timer } from "./clock.ts";

/** One limit for many things that are under way at the same time. */
export interface TimeLimit<Item> {
  begin(item: Item): void;
  end(item: Item): void;
}

/**
 * Calls `onExpired` once for what has not ended within `limitMs`, and up to `everyMs` earlier. Instead of a
 * timer and a signal for each push, an entry in a map, in which the oldest is first.
 */
export function createTimeLimit<Item>(
  clock: Clock,
  limitMs: number,
  onExpired: (item: Item) => void,
  everyMs = 250,
): TimeLimit<Item> {
  const underway = new Map<Item, number>();
  let timer: Timer | undefined;

  function look(): void {
    timer = undefined;
    const now = clock.monotonic();
    for (const [item, startedAt] of underway) {
      if (now - startedAt <= limitMs - everyMs) break;
      underway.delete(item);
      onExpired(item);
    }
    if (underway.size > 0) timer = clock.after(everyMs, look);
  }

  return {
    begin(item) {
      underway.set(item, clock.monotonic());
      timer ??= clock.after(everyMs, look);
    },
    end: (item) => void underway.delete(item),
  };
}
