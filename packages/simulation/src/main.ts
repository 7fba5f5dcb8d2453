import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { MUTANTS } from "./mutants.ts";
import type { RunResult } from "./run.ts";
import type { WorkerTask } from "./worker.ts";

const USAGE = `Usage: pnpm simulate [--seeds N] [--from SEED] [--seed SEED] [--mutant NAME]

Runs the listener's and the sender's delivery code through worlds in which everything fails that can, a world for each seed. From
seed 1,000,000,000 on, messages go to groups, too; from 1,500,000,000 on, dead letters are pushed again; from 1,700,000,000 on,
some endpoints take several pushes at once.

  --seeds N       how many (1000)
  --from SEED     the first of them (1)
  --seed SEED     this one alone, with its timeline
  --mutant NAME   with one rule broken on purpose: ${MUTANTS.map(({ name }) => name).join(", ")}
`;

type Message = Omit<RunResult, "violation"> & { violation: { message: string; timeline: readonly string[] } | undefined };

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: "string", default: "1000" },
        from: { type: "string", default: "1" },
        seed: { type: "string" },
        mutant: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      process.exit(0);
    }
    const [seeds, from] = [Number(values.seeds), Number(values.seed ?? values.from)];
    if (!Number.isInteger(seeds) || seeds < 1 || seeds > 1e9) throw new Error("--seeds is a whole number from 1");
    if (!Number.isInteger(from) || from < 1 || from > 2e9) throw new Error("a seed is a whole number from 1 to 2,000,000,000");
    if (values.mutant !== undefined && !MUTANTS.some(({ name }) => name === values.mutant)) {
      throw new Error(`there is no mutant ${values.mutant}`);
    }
    return { first: from, last: values.seed === undefined ? from + seeds - 1 : from, mutant: values.mutant };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

const { first, last, mutant } = readArguments();
const task: WorkerTask = { first, last, mutant, taken: new SharedArrayBuffer(4) };
const workers = Array.from(
  { length: Math.min(availableParallelism(), last - first + 1) },
  () => new Worker(new URL("worker.ts", import.meta.url), { workerData: task }),
);
const totals = { runs: 0, steps: 0, hours: 0, faults: 0, answered: 0, pushes: 0, repeats: 0 };

function fail({ seed, violation, seconds }: Message): never {
  process.stdout.write(`${violation?.timeline.join("\n")}\n\n`);
  process.stdout.write(`Seed ${seed} broke a rule after ${seconds.toFixed(4)} s of its world:\n  ${violation?.message}\n\n`);
  process.stdout.write(`Again: pnpm simulate --seed ${seed}${mutant === undefined ? "" : ` --mutant ${mutant}`}\n`);
  process.exit(1);
}

const startedAt = performance.now();
await Promise.all(
  workers.map((worker) => {
    worker.on("message", (result: Message) => {
      if (result.violation !== undefined) fail(result);
      totals.runs += 1;
      totals.steps += result.steps;
      totals.hours += result.seconds / 3600;
      totals.faults += result.faults;
      totals.answered += result.answered;
      totals.pushes += result.pushes;
      totals.repeats += result.repeats;
    });
    return new Promise((resolve, reject) => worker.on("exit", resolve).on("error", reject));
  }),
);
const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
const { runs, steps, hours, faults, answered, pushes, repeats } = totals;
process.stdout.write(
  `${runs} worlds, ${Math.round(hours)} hours in them, ${steps} steps, ${faults} faults, in ${seconds} s: every rule held.\n` +
    `${answered} messages were answered, ${pushes} pushes made, ${repeats} of them again.\n`,
);
