import { parentPort, workerData } from "node:worker_threads";
import { load, MUTANTS } from "./mutants.ts";

/** What a worker is told. */
export interface WorkerTask {
  mutant: string | undefined;
  first: number;
  last: number;
  /** How many seeds were handed out, to all workers together. */
  taken: SharedArrayBuffer;
}

const { mutant, first, last, taken } = workerData as WorkerTask;
const found = MUTANTS.find(({ name }) => name === mutant);
if (found !== undefined) load(found);
const { simulate } = await import("./run.ts");

const counter = new Int32Array(taken);
for (;;) {
  const seed = first + Atomics.add(counter, 0, 1);
  if (seed > last) break;
  const { violation, ...result } = await simulate(seed);
  const broken = violation === undefined ? undefined : { message: String(violation.error.stack), timeline: violation.timeline };
  parentPort?.postMessage({ ...result, violation: broken });
}
