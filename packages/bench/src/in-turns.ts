import type { Rounds, Sample } from "./measurements.ts";
import type { Side } from "./scenario.ts";

export interface TurnObserver {
  onRun(side: Side, round: number): void;
  /** Called after each side has run, with everything measured until then. */
  onMeasured(rounds: Rounds): Promise<void>;
}

/** Runs sides in turn, A B A B …, so that what else the machine does meets all of them alike. */
export async function inTurns(sides: readonly Side[], rounds: number, observer: TurnObserver): Promise<Rounds> {
  const found: Map<string, readonly Sample[]>[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const samples = new Map<string, readonly Sample[]>();
    found.push(samples);
    for (const side of sides) {
      observer.onRun(side, round);
      samples.set(side.name, await side.run());
      await observer.onMeasured(found);
    }
  }
  return found;
}
