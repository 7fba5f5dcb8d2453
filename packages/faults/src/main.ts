import { parseArgs } from "node:util";
import { tidyingUp } from "@messenger/testkit";
import { CampaignFailed, runCampaign } from "./campaign.ts";
import { canMount, runFullDisk } from "./full-disk.ts";

const FULL_DISKS = 3;

const USAGE = `Usage: pnpm faults [--faults N] [--seed SEED]

Breaks listeners, senders, PostgreSQL, RabbitMQ, their connections and clocks, and the receiver, under a steady load; then fills the disk of a
standalone, three times, which needs root's rights.

  --faults N   how many (100), three in a round
  --seed SEED  which ones (by the time of day)
`;

interface Arguments {
  faults: number;
  seed: number;
}

function readArguments(): Arguments {
  try {
    const { values } = parseArgs({
      options: {
        faults: { type: "string", default: "100" },
        seed: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      process.exit(0);
    }
    const [faults, seed] = [Number(values.faults), Number(values.seed ?? Date.now() % 1e6)];
    if (!Number.isInteger(faults) || faults < 1 || faults > 10_000) throw new Error("--faults is a whole number from 1 to 10000");
    if (!Number.isInteger(seed) || seed < 0 || seed > 1e9) throw new Error("--seed is a whole number");
    return { faults, seed };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function run({ faults, seed }: Arguments): Promise<number> {
  try {
    const onLine = (line: string): void => void process.stdout.write(`${line}\n`);
    const result = await runCampaign({ seed, faults, onLine });
    const { answered, failed, repeats, overlaps, restarts, memory, grownBy } = result;
    process.stdout.write(
      `\n${faults} faults (seed ${seed}): ${answered} messages answered, 0 lost, 0 out of order, nothing uncovered; ` +
        `${repeats} repeats (${((repeats * 100) / answered).toFixed(2)} %); ${overlaps} pushes overlapped, all while a sender was stopped or cut off; ` +
        `${failed} requests failed; ${restarts} processes started again.\n` +
        `Memory in MB at the end ${JSON.stringify(memory)}; in its life, after its first round, a process grew by ${grownBy} MB at most.\n\n`,
    );
    if (await canMount()) {
      const full = await runFullDisk({ rounds: FULL_DISKS, onLine });
      process.stdout.write(
        `\nA disk that was full ${FULL_DISKS} times: ${full.answered} messages answered, 0 lost, 0 out of order; ` +
          `${full.repeats} repeats; ${full.failed} requests failed; ${full.restarts} processes started again.\n`,
      );
    } else process.stdout.write("No disk was filled: that needs root's rights.\n");
  } catch (error) {
    if (!(error instanceof CampaignFailed)) throw error;
    process.stdout.write(`\n${error.message}\n`);
    return 1;
  }
  return 0;
}

const given = readArguments();
process.exitCode = await tidyingUp(() => run(given));
