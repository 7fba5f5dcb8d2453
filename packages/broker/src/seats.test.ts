import { describe, expect, it } from "vitest";
import { prioritiesOf, rankSeats } from "./seats.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Who gets each partition while these seats are taken. */
function winners(taken: readonly number[], rankings: readonly number[][]): number[] {
  return rankings.map((ranking) => ranking.find((seat) => taken.includes(seat)) as number);
}

/** The smallest and the largest share that somebody has. */
function extremes(taken: readonly number[], rankings: readonly number[][]): [least: number, most: number] {
  const all = winners(taken, rankings);
  const counts = taken.map((seat) => all.filter((winner) => winner === seat).length);
  return [Math.min(...counts), Math.max(...counts)];
}

describe("the seats of consumers", () => {
  const sixteen = rankSeats(16);

  it.each([1, 5, 16, 64, 256])("share %i partitions so that nobody has more than one above another's", (partitions) => {
    const rankings = rankSeats(partitions);
    for (let taken = 1; taken <= 64; taken += 1) {
      const [least, most] = extremes(range(taken), rankings);
      expect([taken, most - least]).toEqual([taken, partitions % taken === 0 ? 0 : 1]);
    }
  });

  it("leave nobody with more than three times another's share, whichever one or two of up to eight leave", () => {
    for (let taken = 2; taken <= 8; taken += 1) {
      for (const [first, second] of range(taken).flatMap((one) => range(taken).map((other) => [one, other]))) {
        const left = range(taken).filter((seat) => seat !== first && seat !== second);
        if (left.length === 0) continue;
        const [least, most] = extremes(left, sixteen);
        expect([left, most <= 3 * least]).toEqual([left, true]);
      }
    }
  });

  it("move only the partitions of a seat that is left", () => {
    const after = winners([0, 2, 3], sixteen);
    winners([0, 1, 2, 3], sixteen).forEach((winner, partition) => {
      if (winner !== 1) expect(after[partition]).toBe(winner);
    });
  });

  it("have priorities by their ranks, within what RabbitMQ takes, and above those of one that stands by", () => {
    const priorities = range(64).map((seat) => prioritiesOf(seat, 16));
    sixteen.forEach((ranking, partition) => {
      const inOrder = ranking.map((seat) => priorities[seat]?.[partition]);
      expect(inOrder).toEqual(range(64).map((place) => 64 - place));
    });
    expect(prioritiesOf(undefined, 16)).toEqual(range(16).map(() => 0));
  });
});
