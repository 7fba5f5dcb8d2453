import { describe, expect, it } from "vitest";
import { medianOf, percentileOf, ratiosOf, type Sample, summarise } from "./measurements.ts";

const rate = (value: number): Sample[] => [{ metric: "rate", unit: "1/s", value }];
const rounds = [
  new Map([
    ["ours", rate(20)],
    ["theirs", rate(10)],
  ]),
  new Map([
    ["ours", rate(30)],
    ["theirs", rate(10)],
  ]),
  new Map([
    ["ours", rate(50)],
    ["theirs", rate(100)],
  ]),
];

describe("measurements", () => {
  it("have a median, whatever their order and number", () => {
    expect(medianOf([3, 1, 2])).toBe(2);
    expect(medianOf([4, 1, 3, 2])).toBe(2.5);
    expect(() => medianOf([])).toThrow();
  });

  it("have percentiles by the nearest rank", () => {
    const values = Float64Array.from({ length: 100 }, (_, n) => 100 - n);
    expect([percentileOf(values, 0.5), percentileOf(values, 0.99), percentileOf(values, 1)]).toEqual([50, 99, 100]);
    expect(percentileOf(new Float64Array(), 0.5)).toBe(0);
  });

  it("are summarised for each side, with the lowest and the highest", () => {
    expect(summarise("scenario", rounds)).toEqual([
      { scenario: "scenario", metric: "rate", unit: "1/s", side: "ours", median: 30, min: 20, max: 50 },
      { scenario: "scenario", metric: "rate", unit: "1/s", side: "theirs", median: 10, min: 10, max: 100 },
    ]);
  });

  it("are compared within each round, so that a slow moment of the machine meets both sides", () => {
    expect(ratiosOf("scenario", rounds, "ours")).toEqual([
      { scenario: "scenario", metric: "rate", side: "ours", over: "theirs", ratio: 2 },
    ]);
  });
});
