import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@messenger/testkit";
import { percentileOf } from "../measurements.ts";
import { startPeer } from "../peers/start-peer.ts";
import type { Receiver } from "../scenario.ts";
import type { OpenLoopResult, OpenLoopRun } from "./open-loop.ts";

/** What came of messages that were sent at a steady rate: milliseconds from when each was to be sent. */
export interface Arrivals {
  answered: number;
  failed: number;
  /** Until it arrived. What is missing counts as endless. */
  p50: number;
  p99: number;
}

export interface OpenLoop {
  /**
   * Sends at a rate for some seconds, and waits until all have arrived, for 5 s at most. `counts` says whose
   * arrivals are looked at.
   */
  run(at: {
    url: string;
    perSecond: number;
    seconds: number;
    counts?: (id: string) => boolean;
    /** Called once all are sent, before `counts` is. */
    beforeArrivals?: () => Promise<void>;
  }): Promise<Arrivals>;
  close(): Promise<void>;
}

const ARRIVE_WITHIN_MS = 5_000;

/**
 * `requests` is a file as `writeRequests` makes it. Each message's endpoint must be below `/timed/` of the
 * receiver.
 */
export async function openLoop(receiver: Receiver, requests: string): Promise<OpenLoop> {
  const folder = await mkdtemp(join(tmpdir(), "messenger-bench-"));
  const generator = startPeer("load/open-loop.ts", {});
  let runs = 0;

  return {
    async run({ url, perSecond, seconds, counts, beforeArrivals }) {
      runs += 1;
      const times = join(folder, `times-${runs}`);
      const run: OpenLoopRun = { url, requests, perSecond, seconds, times };
      const before = generator.output.length;
      generator.tell(JSON.stringify(run));
      const line = await waitFor(() => generator.output.slice(before).match(/^\{.*\}$/mu)?.[0], {
        what: `the load to end; it printed ${generator.output.slice(-500)}`,
        timeoutMs: (seconds + 30) * 1000,
      });
      await beforeArrivals?.();
      const { answered, failed } = JSON.parse(line) as OpenLoopResult;
      const sent = (await readFile(times, "utf8"))
        .split("\n")
        .filter((row) => row !== "")
        .map((row) => row.split(" ") as [string, string])
        .filter(([id]) => counts === undefined || counts(id));
      let arrived = await receiver.arrivals();
      const all = (): boolean => sent.every(([id]) => arrived.has(id));
      const until = performance.now() + ARRIVE_WITHIN_MS;
      while (!all() && performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        arrived = await receiver.arrivals();
      }
      const took = sent.map(([id, intended]) => (arrived.get(id) ?? Number.POSITIVE_INFINITY) - Number(intended));
      return {
        answered,
        failed,
        p50: percentileOf(Float64Array.from(took), 0.5),
        p99: percentileOf(Float64Array.from(took), 0.99),
      };
    },
    async close() {
      await generator.stop();
      await rm(folder, { recursive: true });
    },
  };
}

const P99_LIMIT_MS = 250;
const FIRST_RATE = 500;
/** How finely the highest rate is looked for. */
const SEARCH = { step: 1.5, refinements: 2 };
const QUICK_SEARCH = { step: 2, refinements: 1 };
const MAX_RATE = 50_000;

/**
 * Raises the rate until messages no longer arrive in time (p99 over 250 ms, or a failure): the highest that
 * held, in messages/s.
 */
export async function highestRate(
  loop: OpenLoop,
  url: string,
  { seconds, quick }: { seconds: number; quick: boolean },
): Promise<number> {
  const { step, refinements } = quick ? QUICK_SEARCH : SEARCH;
  const holds = async (perSecond: number): Promise<boolean> => {
    const { failed, p99 } = await loop.run({ url, perSecond, seconds });
    return failed === 0 && p99 <= P99_LIMIT_MS;
  };
  let [good, bad] = [0, FIRST_RATE];
  while (bad < MAX_RATE && (await holds(bad))) [good, bad] = [bad, bad * step];
  for (let n = 0; n < refinements && good > 0; n += 1) {
    const between = Math.sqrt(good * bad);
    if (await holds(between)) good = between;
    else bad = between;
  }
  return good;
}
