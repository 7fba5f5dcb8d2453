import type { Chart } from "./charts.ts";
import { type Ratio, ratiosOf, type Rounds, summarise, type Summary } from "./measurements.ts";

/** What a scenario has measured so far. */
export interface ScenarioReport {
  name: string;
  about: string;
  summaries: readonly Summary[];
  ratios: readonly Ratio[];
  /** What a reader must know of this run, a sentence each. */
  notes: readonly string[];
  /** False while it runs, and for ever if it failed or was interrupted. */
  isComplete: boolean;
}

export interface Report {
  quick: boolean;
  machine: readonly string[];
  scenarios: ScenarioReport[];
}

/** Replaces what the report has of a part by what was measured of it until now. */
export function keepPart(scenario: ScenarioReport, part: string, rounds: Rounds, compared?: string): void {
  const isOther = (one: { scenario: string }): boolean => one.scenario !== part;
  const ratios = compared === undefined ? [] : ratiosOf(part, rounds, compared);
  scenario.summaries = [...scenario.summaries.filter(isOther), ...summarise(part, rounds)];
  scenario.ratios = [...scenario.ratios.filter(isOther), ...ratios];
}

/** With as many digits as mean something. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

function tableOf(summaries: readonly Summary[]): string[] {
  const sides = [...new Set(summaries.map(({ side }) => side))];
  const metrics = [...new Set(summaries.map(({ metric }) => metric))];
  const cell = (metric: string, side: string): string => {
    const found = summaries.find((one) => one.metric === metric && one.side === side);
    if (found === undefined) return "";
    const spread = found.min === found.max ? "" : ` (${figure(found.min)} to ${figure(found.max)})`;
    return `${figure(found.median)}${spread}`;
  };
  return [
    `| | ${sides.join(" | ")} |`,
    `| --- |${sides.map(() => " ---: |").join("")}`,
    ...metrics.map((metric) => {
      const unit = summaries.find((one) => one.metric === metric)?.unit ?? "";
      return `| ${metric}${unit === "" ? "" : `, ${unit}`} | ${sides.map((side) => cell(metric, side)).join(" | ")} |`;
    }),
  ];
}

/** The report for people: medians, spread and ratios of everything, with the machine in its head. */
export function toMarkdown(report: Report, charts: readonly Chart[]): string {
  const lines = ["# Benchmarks of Messenger", "", ...report.machine.map((line) => `- ${line}`)];
  if (report.quick) lines.push("- a quick run: it shows roughly where one stands, no more");
  lines.push("- medians of all rounds, lowest and highest in brackets; the sides of a comparison took turns");
  for (const { name, about, summaries, ratios, notes, isComplete } of report.scenarios) {
    lines.push("", `## ${name}`, "", about);
    if (!isComplete) lines.push("", "This scenario did not run to its end. These are the figures measured until then.");
    for (const chart of charts.filter((one) => one.scenario === name)) lines.push("", `![${chart.title}](${chart.file})`);
    for (const label of new Set(summaries.map(({ scenario }) => scenario))) {
      if (label !== name) lines.push("", `### ${label}`);
      lines.push("", ...tableOf(summaries.filter(({ scenario }) => scenario === label)));
      const own = ratios.filter(({ scenario }) => scenario === label);
      if (own.length > 0) {
        lines.push("", ...own.map(({ metric, side, over, ratio }) => `- ${metric}: ${side} is ${figure(ratio)} × ${over}`));
      }
    }
    if (notes.length > 0) lines.push("", ...notes.map((note) => `- ${note}`));
  }
  return `${lines.join("\n")}\n`;
}
