import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { tidyingUp } from "@messenger/testkit";
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

  --quick          few and short runs, within 3 minutes
  --scenario NAME  one of ${SCENARIOS.map(({ name }) => name).join(", ")}; may be given several times
  --out FOLDER     where results.json, report.md and the charts go (bench-results)
  --profile        writes CPU profiles of Messenger's processes there, too, which slows them
`;

interface Arguments {
  quick: boolean;
  scenarios: readonly string[];
  out: string;
  profile: boolean;
}

function readArguments(): Arguments {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        scenario: { type: "string", multiple: true, default: [] },
        out: { type: "string", default: "bench-results" },
        profile: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      process.exit(0);
    }
    const unknown = values.scenario.find((name) => !SCENARIOS.some((scenario) => scenario.name === name));
    if (unknown !== undefined) throw new Error(`there is no scenario ${unknown}`);
    return { quick: values.quick, scenarios: values.scenario, out: values.out, profile: values.profile };
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

const chosenArguments = readArguments();
await tidyingUp(() => runAll(chosenArguments));
