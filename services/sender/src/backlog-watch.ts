import type { Clock, Timer } from "@messenger/core";
import type { Backlog } from "@messenger/store";

const EVERY_MS = 10_000;

/** Reads what waits in the database every 10 s, one statement at a time, so that asking for metrics never waits for it. */
export function watchBacklog(deps: {
  clock: Clock;
  readBacklog(): Promise<Backlog>;
  /** Undefined where it could not be read. */
  onBacklog: (backlog: Backlog | undefined) => void;
}): { stop(): Promise<void> } {
  let stopped = false;
  let timer: Timer | undefined;
  let running = Promise.resolve();
  function look(): void {
    running = deps
      .readBacklog()
      .then(deps.onBacklog, () => deps.onBacklog(undefined)) // that the database is away, others say
      .then(() => {
        if (!stopped) timer = deps.clock.after(EVERY_MS, look);
      });
  }
  look();
  return {
    async stop() {
      stopped = true;
      timer?.cancel();
      await running;
    },
  };
}
