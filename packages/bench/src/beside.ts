import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { medianOf, type Summary } from "./measurements.ts";
import { figure } from "./report.ts";

const HERE = resolve(fileURLToPath(new URL("../../..", import.meta.url)));

export interface BesideOptions {
  /** Another checkout of this repository, with its packages installed. */
  folder: string;
  scenarios: readonly string[];
  rounds: number;
  onRun(text: string): void;
}

/**
 * One figure of both checkouts: `ratio` is the median of this one's over the other's, of runs that were next
 * to each other.
 */
interface Compared {
  scenario: string;
  metric: string;
  side: string;
  unit: string;
  here: number[];
  there: number[];
}

/** One quick run of a scenario by a checkout's own bench. */
async function runOnce(checkout: string, scenario: string): Promise<readonly Summary[]> {
  const out = await mkdtemp(join(tmpdir(), "messenger-bench-"));
  try {
    const main = join(checkout, "packages/bench/src/main.ts");
    const child = spawn(process.execPath, [main, "--quick", "--scenario", scenario, "--out", out], {
      cwd: checkout,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2_000)));
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) throw new Error(`the bench of ${checkout} ended with ${code}: ${said}`);
    const results = JSON.parse(await readFile(join(out, "results.json"), "utf8")) as readonly (Summary | { median?: never })[];
    return results.filter((one): one is Summary => one.median !== undefined);
  } finally {
    await rm(out, { recursive: true });
  }
}

/**
 * Runs scenarios with the benches of two checkouts in turns (there, here, there, here …), so that what else
 * the machine does meets both alike. Returns a table in Markdown of what both measured, made anew after each
 * round: `onTable` sees it, so that a run that is broken off leaves what it has.
 */
export async function compareCheckouts(options: BesideOptions, onTable: (markdown: string) => Promise<void>): Promise<void> {
  const there = resolve(options.folder);
  const found = new Map<string, Compared>();
  const problems: string[] = [];
  function keep(which: "here" | "there", summaries: readonly Summary[]): void {
    for (const { scenario, metric, side, unit, median } of summaries) {
      const key = [scenario, metric, side].join("\n");
      const compared = found.get(key) ?? { scenario, metric, side, unit, here: [], there: [] };
      compared[which].push(median);
      found.set(key, compared);
    }
  }
  for (const scenario of options.scenarios) {
    try {
      for (let round = 1; round <= options.rounds; round += 1) {
        options.onRun(`${scenario}, round ${round} of ${options.rounds}: ${there}`);
        const other = await runOnce(there, scenario);
        options.onRun(`${scenario}, round ${round} of ${options.rounds}: ${HERE}`);
        keep("here", await runOnce(HERE, scenario));
        keep("there", other);
        await onTable(toTable([...found.values()], problems));
      }
    } catch (error) {
      // The other checkout may not have it.
      problems.push(`${scenario}: ${(error as Error).message.split("\n", 1)[0]}`);
      options.onRun(problems.at(-1) as string);
      await onTable(toTable([...found.values()], problems));
    }
  }
}

/** What only one of the two measured has no ratio. */
function toTable(all: readonly Compared[], problems: readonly string[]): string {
  const rows = all.map(({ scenario, metric, side, unit, here, there }) => {
    const ratios = here.map((value, round) => value / (there[round] ?? Number.NaN));
    const figures = [there, here, ratios].map((values) => (values.length === 0 ? "" : figure(medianOf(values)))).join(" | ");
    return `| ${scenario} | ${side} | ${metric}${unit === "" ? "" : `, ${unit}`} | ${figures} |`;
  });
  return [
    "# Two checkouts side by side",
    "",
    "Medians of all rounds; the ratio is the median of this checkout's figure over the other's, round by round.",
    "",
    "| scenario | side | metric | there | here | ratio |",
    "| --- | --- | --- | ---: | ---: | ---: |",
    ...rows,
    "",
    ...problems.map((problem) => `- ${problem}`),
    "",
  ].join("\n");
}
