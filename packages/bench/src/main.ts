import { mkdir, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { tidyingUp } from "@messenger/testkit";
import { compareCheckouts } from "./beside.ts";
import { chartsOf } from "./charts.ts";
import { inTurns } from "./in-turns.ts";
import { describeMachine } from "./machine.ts";
import { createProgress } from "./progress.ts";
import { keepPart, type Report, type ScenarioReport, toMarkdown } from "./report.ts";
import type { Bench } from "./scenario.ts";
import { accept } from "./scenarios/accept.ts";
import { crowds } from "./scenarios/crowds.ts";
import { deliver } from "./scenarios/deliver.ts";
import { endToEnd } from "./scenarios/end-to-end.ts";
import { embedded } from "./scenarios/embedded.ts";
import { fairness } from "./scenarios/fairness.ts";
import { groups } from "./scenarios/groups.ts";
import { growth } from "./scenarios/growth.ts";
import { notify } from "./scenarios/notify.ts";
import { scale } from "./scenarios/scale.ts";
import { soak } from "./scenarios/soak.ts";
import { streams } from "./scenarios/streams.ts";
import { createServers } from "./servers.ts";

const SCENARIOS = [accept, deliver, endToEnd, fairness, crowds, growth, groups, notify, streams, soak, embedded, scale];
const ROUNDS = 3;

const USAGE = `Usage: pnpm bench [--quick] [--scenario NAME]… [--out FOLDER] [--profile]
       pnpm bench --beside FOLDER [--rounds N] [--scenario NAME]… [--out FOLDER]

  --quick          few and short runs, some 10 minutes
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

/** Writes all files of a report. An interrupted write leaves the file as it was. */
async function writeReport(report: Report, out: string): Promise<void> {
  const charts = chartsOf(report);
  const results = report.scenarios.flatMap(({ summaries, ratios }) => [...summaries, ...ratios]);
  const files = new Map(charts.map(({ file, svg }) => [file, svg]));
  files.set("results.json", `${JSON.stringify(results, undefined, 2)}\n`);
  files.set("report.md", toMarkdown(report, charts));
  await mkdir(out, { recursive: true });
  for (const [file, text] of files) {
    await writeFile(join(out, `${file}.new`), text);
    await rename(join(out, `${file}.new`), join(out, file));
  }
}

/** What tells a part from the others of its scenario. */
const nameWithin = (scenario: string, part: string): string =>
  part === scenario ? "" : `${part.replace(`${scenario}, `, "")}: `;

async function runAll({ quick, scenarios, out, profile }: Arguments): Promise<void> {
  const chosen = SCENARIOS.filter(({ name }) => scenarios.length === 0 || scenarios.includes(name));
  const servers = createServers();
  const progress = createProgress(chosen.length);
  const report: Report = { quick, machine: [], scenarios: [] };
  const write = async (): Promise<void> => {
    report.machine = await describeMachine(await servers.origins());
    await writeReport(report, out);
  };
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => (interrupted = true));
  try {
    for (const scenario of chosen) {
      const { name, about } = scenario;
      progress.begin(name);
      const notes: string[] = [];
      const entry: ScenarioReport = { name, about, summaries: [], ratios: [], notes, isComplete: false };
      report.scenarios.push(entry);
      const bench: Bench = {
        quick,
        profiles: profile ? resolve(out) : undefined,
        servers,
        step: (text) => progress.step(text),
        note: (text) => void notes.push(text),
        inTurns: (part, sides, { compared, rounds = quick ? 1 : ROUNDS } = {}) =>
          inTurns(sides, rounds, {
            onRun: (side, round) => progress.step(`${nameWithin(name, part)}${side.name}, round ${round + 1} of ${rounds}`),
            async onMeasured(measured) {
              keepPart(entry, part, measured, compared);
              await write();
            },
          }),
      };
      try {
        await scenario.run(bench);
        entry.isComplete = true;
      } catch (error) {
        notes.push(interrupted ? "It was interrupted." : `It failed: ${(error as Error).message.split("\n", 1)[0]}`);
        await write();
        // After a signal all processes are killed, so whatever is under way fails. `tidyingUp` ends this one, too.
        if (interrupted) await new Promise<never>(() => undefined);
        throw error;
      }
      await write();
      progress.end();
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
