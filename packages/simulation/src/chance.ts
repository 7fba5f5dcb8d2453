import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** All that is random in a run, from one seed: the same seed gives the same run. */
export interface Chance {
  /** A number in [0, 1). */
  unit(): number;
  /** Whether something happens that happens so often. */
  happens(probability: number): boolean;
  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number;
  /** One of several, all alike. */
  pick<Item>(items: readonly Item[]): Item;
}

export function createChance(seed: number): Chance {
  const generator = xoroshiro128plus(seed);
  const unit = (): number => (generator.next() >>> 0) / 2 ** 32;
  return {
    unit,
    happens: (probability) => unit() < probability,
    integer: (low, high) => low + Math.floor(unit() * (high - low + 1)),
    pick: (items) => items[Math.floor(unit() * items.length)] as (typeof items)[number],
  };
}
