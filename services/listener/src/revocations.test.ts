import { systemClock } from "@messenger/core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Revocations, startRevocations } from "./revocations.ts";

const TTL_SECONDS = 60;

describe("the revocations", () => {
  let revocations: Revocations;
  /** What the store answers, and for how many seconds back it was asked. */
  let answer: () => Promise<readonly number[]>;
  let asked: number[];
  let faults: unknown[];

  beforeEach(async () => {
    vi.useFakeTimers();
    answer = () => Promise.resolve([7]);
    asked = [];
    faults = [];
    revocations = await startRevocations({
      recentRevocations(seconds) {
        asked.push(seconds);
        return answer();
      },
      ttlSeconds: TTL_SECONDS,
      clock: systemClock,
      onError: (error) => faults.push(error),
    });
  });
  afterEach(async () => {
    await Promise.all([revocations.stop(), pass(5_000)]); // a stop waits for a read that is under way
    vi.useRealTimers();
  });

  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  it("are read for a token's lifetime at the start, and known within a second after that", async () => {
    expect([asked[0], revocations.has(7), revocations.has(8)]).toEqual([TTL_SECONDS + 60, true, false]);
    answer = () => Promise.resolve([8]);
    await pass(1_000);
    expect([revocations.has(7), revocations.has(8)]).toEqual([true, true]);
  });

  it("know at once what ended here", () => {
    revocations.add(9);
    expect(revocations.has(9)).toBe(true);
  });

  it("are read a minute further back than they are known: a transaction may commit late", async () => {
    await pass(10_000);
    expect(asked.slice(1).every((seconds) => seconds >= 60 && seconds <= 62)).toBe(true);
    answer = () => Promise.reject(new Error("away"));
    await pass(30_000);
    expect(faults.length).toBeGreaterThan(0);
    answer = () => Promise.resolve([]);
    asked = [];
    await pass(1_000);
    expect(asked[0]).toBeGreaterThanOrEqual(90);
  });

  it("are forgotten once every token of their sessions has expired, and not before", async () => {
    revocations.add(9);
    answer = () => Promise.resolve([]);
    await pass((TTL_SECONDS + 59) * 1_000);
    expect([revocations.has(7), revocations.has(9)]).toEqual([true, true]);
    await pass(3_000);
    expect([revocations.has(7), revocations.has(9)]).toEqual([false, false]);
  });

  it("are fresh until they could not be read for two seconds, and again once they were", async () => {
    answer = () => Promise.reject(new Error("away"));
    await pass(1_400);
    expect(revocations.fresh).toBe(true);
    await pass(700);
    expect(revocations.fresh).toBe(false);
    expect(await revocations.freshen()).toBe(false);
    answer = () => Promise.resolve([8]);
    expect(await revocations.freshen()).toBe(true);
    expect([revocations.fresh, revocations.has(8)]).toEqual([true, true]);
  });

  it("are read once for all who wait for them, who are told after five seconds that they cannot be read", async () => {
    answer = () => new Promise(() => undefined);
    await pass(3_000);
    asked = [];
    const waiting = Promise.all(Array.from({ length: 100 }, () => revocations.freshen()));
    let told: readonly boolean[] | undefined;
    void waiting.then((results) => (told = results));
    await pass(4_900);
    expect(told).toBeUndefined();
    await pass(200);
    expect(told).toEqual(Array.from({ length: 100 }, () => false));
    expect(asked.length).toBeLessThanOrEqual(1);
  });
});

it("reads the store before it says that it knows nothing, where this process had no time to", async () => {
  let skew = 0;
  let isAway = false;
  const revocations = await startRevocations({
    recentRevocations: () => (isAway ? Promise.reject(new Error("away")) : Promise.resolve([7])),
    ttlSeconds: 60,
    clock: { ...systemClock, monotonic: () => systemClock.monotonic() + skew, after: () => ({ cancel: () => undefined }) },
    onError: () => undefined,
  });
  expect([revocations.fresh, revocations.has(7)]).toEqual([true, true]);
  skew = 10_000;
  expect(revocations.fresh).toBe(false);
  expect(await revocations.freshen()).toBe(true);
  skew = 20_000;
  isAway = true;
  expect(await revocations.freshen()).toBe(false);
});
