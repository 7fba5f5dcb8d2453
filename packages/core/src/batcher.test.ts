import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BatcherFull, type BatcherOptions, createBatcher } from "./batcher.ts";
import { systemClock } from "./clock.ts";

describe("a batcher", () => {
  it("takes all that waits while batches run, up to its limits, and answers each in its place", async () => {
    const batches: number[][] = [];
    const gates: (() => void)[] = [];
    const batcher = createBatcher<number, number>({
      clock: systemClock,
      maxBatch: 3,
      maxRunning: 1,
      maxWaiting: 5,
      async run(items) {
        batches.push([...items]);
        await new Promise<void>((resolve) => gates.push(resolve));
        return items.map((item) => item * 10);
      },
    });
    const first = batcher.add(1);
    await vi.waitFor(() => expect(batches).toHaveLength(1));
    const rest = [2, 3, 4, 5, 6].map((n) => batcher.add(n));
    await expect(batcher.add(7)).rejects.toThrow(BatcherFull);
    const all = Promise.all([first, ...rest]);
    while (gates.length > 0 || batcher.waiting > 0) {
      gates.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await all).toEqual([10, 20, 30, 40, 50, 60]);
    expect(batches).toEqual([[1], [2, 3, 4], [5, 6]]);
    await batcher.idle();
  });

  it("fails those of a batch that fails, and goes on", async () => {
    const batcher = createBatcher<number, number>({
      clock: systemClock,
      maxBatch: 1,
      maxRunning: 1,
      run: ([item]) => (item === 1 ? Promise.reject(new Error("one")) : Promise.resolve([item as number])),
    });
    const [one, two] = await Promise.allSettled([batcher.add(1), batcher.add(2)]);
    expect([one.status, two]).toEqual(["rejected", { status: "fulfilled", value: 2 }]);
  });
});

describe("a batcher in time", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** A batcher that notes when each batch started and how many items it held; each batch takes `runMs`. */
  function open(options: Partial<BatcherOptions<number, null>> & { runMs?: number }) {
    const batches: { at: number; size: number }[] = [];
    const startedAt = systemClock.monotonic();
    const batcher = createBatcher<number, null>({
      clock: systemClock,
      maxBatch: 100,
      maxRunning: 1,
      async run(items) {
        batches.push({ at: systemClock.monotonic() - startedAt, size: items.length });
        if (options.runMs !== undefined) await new Promise((resolve) => setTimeout(resolve, options.runMs));
        return items.map(() => null);
      },
      ...options,
    });
    const add = (count: number): void => {
      for (let n = 0; n < count; n += 1) void batcher.add(n);
    };
    return { add, batches, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
  }

  it("starts batches of more than one item at least the spacing apart", async () => {
    const { add, batches, pass } = open({ spacingMs: 10 });
    for (let n = 0; n < 25; n += 1) {
      add(2);
      await pass(1);
    }
    await pass(100);
    expect(batches.map(({ at }) => at)).toEqual([0, 10, 20, 30]);
    expect(batches.reduce((sum, { size }) => sum + size, 0)).toBe(50);
  });

  it("does not hold up an item that comes after one that was alone", async () => {
    const { add, batches, pass } = open({ spacingMs: 10 });
    for (let n = 0; n < 3; n += 1) {
      add(1);
      await pass(1);
    }
    expect(batches).toEqual([
      { at: 0, size: 1 },
      { at: 1, size: 1 },
      { at: 2, size: 1 },
    ]);
  });

  it("has the first item of each batch wait for company as long as it is told to", async () => {
    const { add, batches, pass } = open({ lingerMs: 100 });
    add(1);
    await pass(60);
    add(2);
    await pass(100);
    add(1);
    await pass(1_000);
    expect(batches).toEqual([
      { at: 100, size: 3 },
      { at: 260, size: 1 },
    ]);
  });

  it("starts a batch beside one that runs only when it is at least half as large", async () => {
    const { add, batches, pass } = open({ maxRunning: 2, runMs: 50 });
    add(4);
    await pass(1);
    add(1);
    await pass(10);
    expect(batches.map(({ size }) => size)).toEqual([4]);
    add(1);
    await pass(1);
    expect(batches.map(({ size }) => size)).toEqual([4, 2]);
    // Two run: whatever comes waits until one of them has ended.
    add(10);
    await pass(30);
    expect(batches.map(({ size }) => size)).toEqual([4, 2]);
    await pass(100);
    expect(batches.map(({ size }) => size)).toEqual([4, 2, 10]);
  });
});
