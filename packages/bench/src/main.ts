import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { tidyingUp } from "@messenger/testkit";
import { compareCheckouts } from "./beside.ts";
import { chartsOf } from "./charts.ts";
import { inTurns } from "./in-turns.ts";
import { describeMachine } from "./machine.ts";
import { createProgress } from "./progress.ts";
import { type Report, toMarkdown } from "./report.ts";
import type { Bench } from "./scenario.ts";
import { accept } from "./scenarios/accept.ts";
import { deliver } from "./scenarios/deliver.ts";
import { endToEnd } from "./scenarios/end-to-end.ts";
import { embedded } from "./scenarios/embedded.ts";
import { fairness } from "./scenarios/fairness.ts";
import { growth } from "./scenarios/growth.ts";
import { scale } from "./scenarios/scale.ts";
import { createServers } from "./servers.ts";

const SCENARIOS = [accept, deliver, endToEnd, fairness, growth, embedded, scale];
const ROUNDS = 3;

const USAGE = `Usage: pnpm bench [--quick] [--scenario NAME]… [--out FOLDER] [--profile]
       pnpm bench --beside FOLDER [--rounds N] [--scenario NAME]… [--out FOLDER]

  --quick          few and short runs, within 3 minutes
  --scenario NAME  one of ${SCENARIOS.map(({ name }) => name).join(", ")}; may be given several times
  --out FOLDER     where results.json, report.md and the charts go (bench-results)
  --beside FOLDER  runs the quick benches of another checkout and of this one in turns, and writes beside.md
  --rounds N       how often (7)
  --profile        writes CPU profiles of Messenger's processes there, too, which slows them
`;

interface Arguments {
  quick: boolean;
  scenarios: readonly string[];
  out: string;
  profile: boolean;
  beside: string | undefined;
  rounds: number;
}

function readArguments(): Arguments {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        scenario: { type: "string", multiple: true, default: [] },
        out: { type: "string", default: "bench-results" },
        profile: { type: "boolean", default: false },
        beside: { type: "string" },
        rounds: { type: "string", default: "7" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      process.exit(0);
    }
    const unknown = values.scenario.find((name) => !SCENARIOS.some((scenario) => scenario.name === name));
    if (unknown !== undefined) throw new Error(`there is no scenario ${unknown}`);
    const rounds = Number(values.rounds);
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new Error("--rounds is a whole number from 1 to 100");
    return {
      quick: values.quick,
      scenarios: values.scenario,
      out: values.out,
      profile: values.profile,
      beside: values.beside,
      rounds,
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

async function runAll({ quick, scenarios, out, profile }: Arguments): Promise<void> {
  const chosen = SCENARIOS.filter(({ name }) => scenarios.length === 0 || scenarios.includes(name));
  const servers = createServers();
  const progress = createProgress(chosen.length);
  const report: Report = { quick, machine: [], scenarios: [] };
  try {
    for (const scenario of chosen) {
      progress.begin(scenario.name);
      const bench: Bench = {
        quick,
        profiles: profile ? resolve(out) : undefined,
        servers,
        step: (text) => progress.step(text),
        inTurns: (sides, rounds = quick ? 1 : ROUNDS) =>
          inTurns(sides, rounds, (side, round) => progress.step(`${side.name}, round ${round + 1} of ${rounds}`)),
      };
      const outcome = await scenario.run(bench);
      report.scenarios.push({ name: scenario.name, about: scenario.about, ...outcome });
      progress.end();
      // After each, so that a run that is broken off leaves what it has.
      report.machine = await describeMachine(await servers.origins());
      await mkdir(out, { recursive: true });
      const results = report.scenarios.flatMap(({ summaries, ratios }) => [...summaries, ...ratios]);
      await writeFile(join(out, "results.json"), `${JSON.stringify(results, undefined, 2)}\n`);
      const charts = chartsOf(report);
      for (const chart of charts) await writeFile(join(out, chart.file), chart.svg);
      await writeFile(join(out, "report.md"), toMarkdown(report, charts));
    }
  } finally {
    progress.close();
    await servers.stop();
  }
  process.stdout.write(`The report is in ${join(out, "report.md")}\n`);
}

async function runBeside(folder: string, { scenarios, out, rounds }: Arguments): Promise<void> {
  const chosen = SCENARIOS.map(({ name }) => name).filter((name) => scenarios.length === 0 || scenarios.includes(name));
  const file = join(out, "beside.md");
  await mkdir(out, { recursive: true });
  const onRun = (text: string): void => void process.stderr.write(`${text}\n`);
  await compareCheckouts({ folder, scenarios: chosen, rounds, onRun }, (table) => writeFile(file, table));
  process.stdout.write(`The figures are in ${file}\n`);
}

const chosenArguments = readArguments();
const { beside } = chosenArguments;
await tidyingUp(() => (beside === undefined ? runAll(chosenArguments) : runBeside(beside, chosenArguments)));
