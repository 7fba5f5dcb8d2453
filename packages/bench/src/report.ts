import type { Chart } from "./charts.ts";
import type { Summary } from "./measurements.ts";
import type { Outcome } from "./scenario.ts";

export interface Report {
  quick: boolean;
  machine: readonly string[];
  scenarios: (Outcome & { name: string; about: string })[];
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
  for (const { name, about, summaries, ratios, notes } of report.scenarios) {
    lines.push("", `## ${name}`, "", about);
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
