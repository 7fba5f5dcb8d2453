import type { Arrival } from "@messenger/testkit";
import { expect } from "vitest";

/** The first arrival of each event, in the order they came. */
export function firstArrivals(arrivals: readonly Arrival[]): Arrival[] {
  const seen = new Set<string>();
  return arrivals.filter((arrival) => {
    const key = `${arrival.path} ${arrival.id}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** Arrivals of an event that had come before. */
export function repeats(arrivals: readonly Arrival[]): Arrival[] {
  const first = new Set(firstArrivals(arrivals));
  return arrivals.filter((arrival) => !first.has(arrival));
}

/** Each address (a path of its own) got its events in the order of `seq`, counting first arrivals. */
export function expectInOrder(arrivals: readonly Arrival[]): void {
  const last = new Map<string, number>();
  for (const { path, seq } of firstArrivals(arrivals)) {
    const before = last.get(path) ?? 0;
    if (seq <= before) expect({ path, seq }).toEqual({ path, seq: `after ${before}` });
    last.set(path, seq);
  }
}
