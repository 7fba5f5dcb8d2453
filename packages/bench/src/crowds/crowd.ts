/**
 * Crowds and odd clients, for the scenario `crowds`. A process of its own, with a lower priority than the
 * listener and than those whose waits are measured, so that they do not wait for a processor that the crowd's
 * own work takes.
 *
 * Reads one line of JSON (`CrowdOrder`) from its standard input and prints `ready` once the crowd is there.
 * The next line ends the crowd, and one line of JSON (`CrowdOutcome`) is printed. The process exits when its
 * input is closed.
 */
import { once, setMaxListeners } from "node:events";
import { setPriority } from "node:os";
import { createInterface } from "node:readline";
import { guess } from "./guesses.ts";
import { idleAndSlow } from "./idle-and-slow.ts";
import type { Crowd, CrowdDeps, CrowdOrder, CrowdOutcome } from "./orders.ts";
import { pipeline } from "./pipelined.ts";
import { signUp } from "./sign-ups.ts";

const LOWER_PRIORITY = 5;

function runCrowd({ crowd, ...deps }: Omit<CrowdDeps<Crowd["kind"]>, "crowd"> & { crowd: Crowd }): Promise<void> {
  switch (crowd.kind) {
    case "sign-ups":
      return signUp({ ...deps, crowd });
    case "guesses":
      return guess({ ...deps, crowd });
    case "pipelined":
      return pipeline({ ...deps, crowd });
    case "idle and slow":
      return idleAndSlow({ ...deps, crowd });
  }
}

setPriority(LOWER_PRIORITY);
const lines = createInterface({ input: process.stdin });
const [line] = (await once(lines, "line")) as [string];
const { url, crowd, seconds } = JSON.parse(line) as CrowdOrder;
const over = new AbortController();
setMaxListeners(0, over.signal); // each connection and request is one
lines.once("line", () => over.abort()).once("close", () => over.abort());
setTimeout(() => over.abort(), seconds * 1000).unref();
const outcome: CrowdOutcome = {};
await runCrowd({
  url: new URL(url),
  crowd,
  over: over.signal,
  count: (ended) => void (outcome[ended] = (outcome[ended] ?? 0) + 1),
  ready: () => void process.stdout.write("ready\n"),
});
process.stdout.write(`${JSON.stringify(outcome)}\n`);
