/** One figure of one run of one side: in `unit`. */
export interface Sample {
  metric: string;
  unit: string;
  value: number;
}

/** For each round, the samples of each side that ran in it, by its name. */
export type Rounds = readonly ReadonlyMap<string, readonly Sample[]>[];

/** All runs of a side, as they are published. */
export interface Summary {
  scenario: string;
  metric: string;
  unit: string;
  side: string;
  median: number;
  min: number;
  max: number;
}

/** How one side did over another: the median of the ratios of runs that were next to each other. */
export interface Ratio {
  scenario: string;
  metric: string;
  side: string;
  over: string;
  ratio: number;
}

export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) throw new Error("there is no median of nothing");
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** The value that `share` (0 to 1) of all values do not exceed (nearest rank). 0 of none. */
export function percentileOf(values: Float64Array, share: number): number {
  if (values.length === 0) return 0;
  const sorted = values.toSorted();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
}

/** What the runs of a scenario came to. */
export function summarise(scenario: string, rounds: Rounds): Summary[] {
  const found = new Map<string, { sample: Sample; side: string; values: number[] }>();
  for (const round of rounds) {
    for (const [side, samples] of round) {
      for (const sample of samples) {
        const key = `${sample.metric}\n${side}`;
        const entry = found.get(key) ?? { sample, side, values: [] };
        found.set(key, entry);
        entry.values.push(sample.value);
      }
    }
  }
  return [...found.values()].map(({ sample: { metric, unit }, side, values }) => ({
    scenario,
    metric,
    unit,
    side,
    median: medianOf(values),
    min: Math.min(...values),
    max: Math.max(...values),
  }));
}

/**
 * Compares every other side with `side`, metric by metric, within each round; a metric that only one of them
 * has is left out.
 */
export function ratiosOf(scenario: string, rounds: Rounds, side: string): Ratio[] {
  const found = new Map<string, { metric: string; over: string; ratios: number[] }>();
  for (const round of rounds) {
    const own = new Map((round.get(side) ?? []).map(({ metric, value }) => [metric, value]));
    for (const [over, samples] of round) {
      if (over === side) continue;
      for (const { metric, value } of samples) {
        const mine = own.get(metric);
        if (mine === undefined || value === 0) continue;
        const entry = found.get(`${metric}\n${over}`) ?? { metric, over, ratios: [] };
        found.set(`${metric}\n${over}`, entry);
        entry.ratios.push(mine / value);
      }
    }
  }
  return [...found.values()].map(({ metric, over, ratios }) => ({ scenario, metric, side, over, ratio: medianOf(ratios) }));
}
