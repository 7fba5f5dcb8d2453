import type { Sample } from "./measurements.ts";
import type { Side } from "./scenario.ts";

/** Runs sides in turn, A B A B …, so that what else the machine does meets all of them alike. */
export async function inTurns(
  sides: readonly Side[],
  rounds: number,
  onRun: (side: Side, round: number) => void,
): Promise<Map<string, readonly Sample[]>[]> {
  const found: Map<string, readonly Sample[]>[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const samples = new Map<string, readonly Sample[]>();
    for (const side of sides) {
      onRun(side, round);
      samples.set(side.name, await side.run());
    }
    found.push(samples);
  }
  return found;
}
