import { setImmediate as turn } from "node:timers/promises";
import type { Timer } from "@messenger/core";
import TinyQueue from "tinyqueue";

interface Task {
  at: number;
  place: number;
  run: () => void;
  cancelled: boolean;
}

/**
 * A virtual clock: time passes only from one thing that was planned to the next, and all of them happen in
 * one thread.
 */
export interface Scheduler {
  /** Milliseconds since the run began. */
  readonly now: number;
  after(delayMs: number, run: () => void): Timer;
  /** Does what comes next, with all that follows from it without waiting; false where nothing is planned any more. */
  step(): Promise<boolean>;
}

export function createScheduler(): Scheduler {
  const tasks = new TinyQueue<Task>([], (a, b) => a.at - b.at || a.place - b.place);
  let now = 0;
  let places = 0;
  return {
    get now() {
      return now;
    },
    after(delayMs, run) {
      places += 1;
      const task = { at: now + Math.max(0, delayMs), place: places, run, cancelled: false };
      tasks.push(task);
      return {
        cancel() {
          task.cancelled = true;
        },
      };
    },
    async step() {
      let task = tasks.pop();
      while (task?.cancelled === true) task = tasks.pop();
      if (task === undefined) return false;
      now = task.at;
      task.run();
      await turn(); // every promise that could settle has
      return true;
    },
  };
}
