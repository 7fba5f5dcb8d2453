import { parseArgs } from "node:util";
import { tidyingUp } from "@messenger/testkit";
import { CampaignFailed, runCampaign } from "./campaign.ts";
import { canMount, runFullDisk } from "./full-disk.ts";
import { runUpgrade } from "./upgrade.ts";

const FULL_DISKS = 3;

const USAGE = `Usage: pnpm faults [--faults N] [--seed SEED]
       pnpm faults --upgrade-from FOLDER [--messages N]

Breaks listeners, senders, PostgreSQL, RabbitMQ, their connections and clocks, and the receiver, under a steady load; then fills the disk of a
standalone, three times, which needs root's rights.

  --faults N   how many (100), three in a round
  --seed SEED  which ones (by the time of day)

With --upgrade-from, a deployment of an earlier version, whose checkout is in FOLDER, is upgraded to this one under load instead.

  --messages N in its database (5000000)
`;

interface Arguments {
  faults: number;
  seed: number;
  upgradeFrom: string | undefined;
  messages: number;
}

function readArguments(): Arguments {
  try {
    const { values } = parseArgs({
      options: {
        faults: { type: "string", default: "100" },
        seed: { type: "string" },
        "upgrade-from": { type: "string" },
        messages: { type: "string", default: "5000000" },
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
    const messages = Number(values.messages);
    if (!Number.isInteger(messages) || messages < 1 || messages > 100e6)
      throw new Error("--messages is a whole number from 1 to 100000000");
    return { faults, seed, upgradeFrom: values["upgrade-from"], messages };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

const onLine = (line: string): void => void process.stdout.write(`${line}\n`);

async function upgrade(from: string, messages: number): Promise<number> {
  const { answered, repeats, migrateSeconds } = await runUpgrade({ from, messages, onLine });
  process.stdout.write(
    `\nA database of ${messages} messages was upgraded in ${migrateSeconds.toFixed(1)} s: ${answered} messages answered meanwhile, 0 failed, 0 lost, ` +
      `0 out of order; ${repeats} repeats.\n`,
  );
  return 0;
}

async function run({ faults, seed }: Arguments): Promise<number> {
  try {
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
const { upgradeFrom } = given;
process.exitCode = await tidyingUp(() => (upgradeFrom === undefined ? run(given) : upgrade(upgradeFrom, given.messages)));
