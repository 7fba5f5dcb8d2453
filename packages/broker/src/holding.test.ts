import { describe, expect, it } from "vitest";
import { createHolding } from "./holding.ts";

function start() {
  const missed: number[] = [];
  const settled: string[] = [];
  const holding = createHolding(2, (partition) => void missed.push(partition));
  const take = (partition: number, name: string, messages = 1): (() => void) =>
    holding.take(partition, messages, () => void settled.push(name));
  return { missed, settled, holding, take };
}

describe("what a consumer holds", () => {
  it("keeps the last bundle of a partition until the next one is done", () => {
    const { missed, settled, take, holding } = start();
    take(0, "a")();
    expect(settled).toEqual([]);
    const ackB = take(0, "b");
    expect(settled).toEqual([]);
    expect([holding.held(0), holding.held(1)]).toEqual([2, 0]);
    ackB();
    expect(settled).toEqual(["a"]);
    expect(holding.held(0)).toBe(1);
    expect(missed).toEqual([0]);
  });

  it("settles a bundle once all of its messages are acknowledged", () => {
    const { settled, take, holding } = start();
    const ack = take(0, "a", 2);
    ack();
    holding.stopKeeping();
    expect(settled).toEqual([]);
    ack();
    expect(settled).toEqual(["a"]);
  });

  it("keeps a bundle for one whole tick, and says after that that the partition may have been another's", () => {
    const { missed, settled, take, holding } = start();
    take(0, "a")();
    holding.tick();
    expect(settled).toEqual([]);
    holding.tick();
    expect(settled).toEqual(["a"]);
    take(0, "b");
    holding.tick();
    holding.tick();
    take(1, "c");
    expect(missed).toEqual([0, 0, 1]);
    expect(settled).toEqual(["a"]);
  });

  it("settles what it kept once it keeps nothing any more, and what comes then at once", () => {
    const { settled, take, holding } = start();
    take(0, "a")();
    take(1, "b")();
    const ack = take(1, "c");
    holding.stopKeeping();
    expect(settled).toEqual(["a", "b"]);
    ack();
    expect(settled).toEqual(["a", "b", "c"]);
  });
});
