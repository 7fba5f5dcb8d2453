import { type Clock, type Periodic, runPeriodically } from "@messenger/core";
import type { Backlog } from "@messenger/store";

const EVERY_MS = 10_000;

/**
 * Reads what waits in the database every 10 s, one statement at a time, so that asking for metrics never
 * waits for it.
 */
export function watchBacklog(deps: {
  clock: Clock;
  readBacklog(): Promise<Backlog>;
  /** Undefined where it could not be read. */
  onBacklog: (backlog: Backlog | undefined) => void;
}): Periodic {
  return runPeriodically({
    clock: deps.clock,
    everyMs: EVERY_MS,
    atOnce: true,
    round: async () => deps.onBacklog(await deps.readBacklog()),
    onError: () => deps.onBacklog(undefined), // an unreachable database is logged elsewhere
  });
}
