import { describe, expect, it } from "vitest";
import { rendezvousPriority } from "./rendezvous.ts";

/** Which of these consumers gets each of 64 partitions. */
function shares(consumers: readonly string[]): string[] {
  return Array.from({ length: 64 }, (_, partition) => {
    const byPriority = [...consumers].sort((a, b) => rendezvousPriority(b, partition) - rendezvousPriority(a, partition));
    return byPriority[0] as string;
  });
}

describe("priorities by rendezvous hashing", () => {
  const three = ["one", "two", "three"];

  it("are within what RabbitMQ takes, and the same every time", () => {
    const priority = rendezvousPriority("one", 3);
    expect(priority).toBe(rendezvousPriority("one", 3));
    expect(Number.isInteger(priority) && priority >= 0 && priority < 2 ** 24).toBe(true);
  });

  it("give every consumer a share, none more than three times another's", () => {
    const counts = three.map((name) => shares(three).filter((taker) => taker === name).length);
    expect(Math.max(...counts)).toBeLessThanOrEqual(3 * Math.min(...counts));
  });

  it("move only the partitions of a consumer that leaves", () => {
    const before = shares(three);
    const after = shares(["one", "two"]);
    before.forEach((taker, partition) => {
      if (taker !== "three") expect(after[partition]).toBe(taker);
    });
  });
});
