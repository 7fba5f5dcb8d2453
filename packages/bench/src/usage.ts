import { forgetPeaks, readUsage } from "@messenger/testkit";
import type { Sample } from "./measurements.ts";

/**
 * Whose CPU time and memory are measured: a name, and the first process of it where it is this machine's to
 * look at.
 */
export type Measured = Readonly<Record<string, number | undefined>>;

/**
 * Measures what processes use while `run` runs: CPU seconds for each 1,000 of what it counts, and the most
 * memory that one of them held meanwhile.
 */
export async function whileMeasuring<Value extends { count: number }>(
  measured: Measured,
  run: () => Promise<Value>,
): Promise<{ value: Value; samples: Sample[] }> {
  const pids = Object.entries(measured).filter((entry): entry is [string, number] => entry[1] !== undefined);
  for (const [, pid] of pids) await forgetPeaks(pid);
  const before = await Promise.all(pids.map(([, pid]) => readUsage(pid)));
  const value = await run();
  const after = await Promise.all(pids.map(([, pid]) => readUsage(pid)));
  const samples = pids.flatMap(([name], n): Sample[] => {
    const cpu = (after[n]?.cpuSeconds ?? 0) - (before[n]?.cpuSeconds ?? 0);
    return [
      { metric: `CPU of ${name}, each 1,000`, unit: "s", value: (cpu * 1000) / Math.max(value.count, 1) },
      { metric: `memory of ${name}, at most`, unit: "MB", value: (after[n]?.peakBytes ?? 0) / 1e6 },
    ];
  });
  return { value, samples };
}
