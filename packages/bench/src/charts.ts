import type { Summary } from "./measurements.ts";
import { figure, type Report } from "./report.ts";

export interface Chart {
  scenario: string;
  title: string;
  file: string;
  svg: string;
}

const WIDTH = 720;
const LEFT = 230;
const ROW = 22;
const TOP = 34;
const COLOURS = ["#2f6fb4", "#c2682c", "#6b7a3a", "#84569c", "#8a8a8a"];

const escapeXml = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** Bars of one metric, a row for each side of each run, with its spread as a line. */
function bars(title: string, rows: readonly Summary[]): string {
  const most = Math.max(...rows.map(({ max }) => max), Number.MIN_VALUE);
  const sides = [...new Set(rows.map(({ side }) => side))];
  const scale = (value: number): number => (value / most) * (WIDTH - LEFT - 90);
  const drawn = rows.map((row, n) => {
    const y = TOP + n * ROW;
    const colour = COLOURS[sides.indexOf(row.side) % COLOURS.length];
    const label = row.scenario.includes(", ") ? `${row.scenario.split(", ").slice(1).join(", ")}: ${row.side}` : row.side;
    return [
      `<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${escapeXml(label)}</text>`,
      `<rect x="${LEFT}" y="${y + 3}" width="${Math.max(scale(row.median), 1).toFixed(1)}" height="${ROW - 6}" fill="${colour}"/>`,
      `<line x1="${LEFT + scale(row.min)}" x2="${LEFT + scale(row.max)}" y1="${y + ROW / 2}" y2="${y + ROW / 2}" stroke="#000"/>`,
      `<text x="${LEFT + scale(row.max) + 6}" y="${y + 15}">${figure(row.median)}</text>`,
    ].join("\n");
  });
  const height = TOP + rows.length * ROW + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="12" y="20" font-size="14" font-weight="bold">${escapeXml(title)}</text>`,
    ...drawn,
    "</svg>",
    "",
  ].join("\n");
}

/** A chart for the first metric of each scenario, and one for its p99 where it has one. */
export function chartsOf(report: Report): Chart[] {
  return report.scenarios.flatMap(({ name, summaries }) => {
    const metrics = [summaries[0]?.metric, summaries.find(({ metric }) => metric.startsWith("p99"))?.metric];
    return [...new Set(metrics.filter((metric) => metric !== undefined))].map((metric) => {
      const rows = summaries.filter((row) => row.metric === metric);
      const title = `${name}: ${metric}, ${rows[0]?.unit ?? ""}`;
      const file = `${name}-${metric.replaceAll(/[^a-z0-9]+/giu, "-").toLowerCase()}.svg`;
      return { scenario: name, title, file, svg: bars(title, rows) };
    });
  });
}
