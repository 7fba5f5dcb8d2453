import { expect, it } from "vitest";
import { inTurns } from "./in-turns.ts";
import type { Sample } from "./measurements.ts";
import { keepPart, type ScenarioReport, toMarkdown } from "./report.ts";
import type { Side } from "./scenario.ts";

const rate = (value: number): Sample[] => [{ metric: "rate", unit: "1/s", value }];
const side = (name: string, value: number): Side => ({ name, run: () => Promise.resolve(rate(value)) });
const broken: Side = { name: "theirs", run: () => Promise.reject(new Error("broken off")) };
const unfinished = (): ScenarioReport => ({
  name: "scenario",
  about: "About it.",
  summaries: [],
  ratios: [],
  notes: [],
  isComplete: false,
});

/** Runs a part as the bench does. */
async function runPart(scenario: ScenarioReport, part: string, sides: Side[], rounds: number): Promise<void> {
  await inTurns(sides, rounds, {
    onRun: () => undefined,
    onMeasured: (measured) => Promise.resolve(keepPart(scenario, part, measured, "ours")),
  });
}

it("keeps each side that ran, and the parts before it, of a scenario that breaks off", async () => {
  const scenario = unfinished();
  await runPart(scenario, "scenario, first", [side("ours", 20), side("theirs", 10)], 2);
  await expect(runPart(scenario, "scenario, second", [side("ours", 5), broken], 2)).rejects.toThrow("broken off");
  const figures = scenario.summaries.map(({ scenario: part, side: name, median }) => [part, name, median]);
  expect(figures).toEqual([
    ["scenario, first", "ours", 20],
    ["scenario, first", "theirs", 10],
    ["scenario, second", "ours", 5],
  ]);
  expect(scenario.ratios.map(({ scenario: part, ratio }) => [part, ratio])).toEqual([["scenario, first", 2]]);
});

it("says of a scenario whether it ran to its end", () => {
  const scenario = unfinished();
  keepPart(scenario, "scenario", [new Map([["ours", rate(5)]])]);
  const report = { quick: false, machine: ["a machine"], scenarios: [scenario] };
  expect(toMarkdown(report, [])).toContain("did not run to its end");
  scenario.isComplete = true;
  const text = toMarkdown(report, []);
  expect(text).not.toContain("did not run to its end");
  expect(text).toContain("| rate, 1/s | 5 |");
});
