import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "./clock.ts";
import { createTimeLimit } from "./time-limit.ts";

describe("a time limit", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("expires each item once, at its limit or up to 250 ms earlier, whenever it began", async () => {
    const beganAt = new Map<number, number>();
    const ages: number[] = [];
    const limit = createTimeLimit<number>(systemClock, 1_000, (item) =>
      ages.push(systemClock.monotonic() - (beganAt.get(item) as number)),
    );
    for (let item = 0; item < 100; item += 1) {
      beganAt.set(item, systemClock.monotonic());
      limit.begin(item);
      await vi.advanceTimersByTimeAsync(37);
    }
    await vi.advanceTimersByTimeAsync(5_000);
    expect(ages).toHaveLength(100);
    expect(Math.max(...ages)).toBeLessThanOrEqual(1_000);
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(750);
  });

  it("says nothing of what has ended, and counts from the last begin of what began again", async () => {
    const expired: string[] = [];
    const limit = createTimeLimit<string>(systemClock, 1_000, (item) => expired.push(item));
    for (const item of ["ended", "again"]) limit.begin(item);
    await vi.advanceTimersByTimeAsync(700);
    for (const item of ["ended", "again"]) limit.end(item);
    limit.begin("again");
    await vi.advanceTimersByTimeAsync(700);
    expect(expired).toEqual([]);
    await vi.advanceTimersByTimeAsync(300);
    expect(expired).toEqual(["again"]);
  });

  it("has no timer while nothing is under way", async () => {
    const expired: string[] = [];
    const limit = createTimeLimit<string>(systemClock, 1_000, (item) => expired.push(item));
    limit.begin("first");
    limit.end("first");
    await vi.advanceTimersByTimeAsync(250);
    expect(vi.getTimerCount()).toBe(0);
    limit.begin("second");
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([expired, vi.getTimerCount()]).toEqual([["second"], 0]);
  });
});
