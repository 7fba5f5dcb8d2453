import type { Clock, Random } from "@messenger/core";
import type { Chance } from "./chance.ts";
import type { Scheduler } from "./scheduler.ts";

/** A rule that the run broke. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** What the simulated store and broker fail with, for a reason that passes. */
export class Away extends Error {
  override readonly name = "Away";
}

/** What all parts of a run share. */
export interface World {
  scheduler: Scheduler;
  chance: Chance;
  /** Whether things go wrong; at the end of a run they no longer do. */
  faulty: boolean;
  /** Nothing fails at all: receivers are slow, and partitions move. */
  calm: boolean;
  /** Now and then a server answers only after 40 s. */
  harsh: boolean;
  /** How long an attempt may take. */
  timeoutS: number;
  /** Some endpoints have a rate. */
  rated: boolean;
  /** Pushes to some endpoints may be in flight at the same time. */
  windowed: boolean;
  /** The store says by the processes' calendar since when an endpoint fails; otherwise one that fails twice soon goes off. */
  dated: boolean;
  /** Consumers keep the last bundle of each partition for a while. */
  keeps: boolean;
  /** Looks whether a rule holds: what it throws ends the run. */
  check(rule: () => void): void;
  /** Keeps a line of what happened, for who reads a failure. */
  note(line: string): void;
}

/** When every world begins. */
export const EPOCH = Date.UTC(2026, 0, 1);
/** Lines kept. */
const TIMELINE = 400;

export function createTimeline(scheduler: Scheduler): { note(line: string): void; lines(): string[] } {
  let lines: string[] = [];
  return {
    note(line) {
      lines.push(`${(scheduler.now / 1000).toFixed(4).padStart(9)} s  ${line}`);
      if (lines.length > TIMELINE * 2) lines = lines.slice(-TIMELINE);
    },
    lines: () => lines.slice(-TIMELINE),
  };
}

/**
 * How long something takes on a network: mostly some milliseconds, sometimes seconds, rarely longer than any
 * lease.
 */
export function latency({ chance, faulty, harsh, calm }: World): number {
  if (calm && chance.happens(0.1)) return chance.unit() * 3_000;
  if (faulty && harsh && chance.happens(0.003)) return 35_000 + chance.unit() * 10_000;
  if (!faulty || chance.happens(0.93)) return 0.2 + chance.unit() * 4;
  if (chance.happens(0.8)) return chance.unit() * 300;
  if (chance.happens(0.75)) return chance.unit() * 6_000;
  return chance.unit() * 50_000;
}

/** One life of a process: what it has planned, and what it waits for, ends with it. */
export interface Process {
  readonly name: string;
  readonly alive: boolean;
  clock: Clock;
  random: Random;
  /** Ends it, at any moment. */
  crash(): void;
  /** Told when it ends. */
  onCrash(run: () => void): void;
  /** Calls a server: what it does there happens at one moment, once, or not at all; the answer may be lost. */
  call<Result>(what: string, execute: () => Result): Promise<Result>;
}

export function createProcess(world: World, name: string, isAway: () => boolean): Process {
  const { scheduler, chance } = world;
  // No two machines agree on what time it is.
  const skew = Math.floor((chance.unit() - 0.5) * 2_000);
  const origin = chance.unit() * 1e6;
  const listeners: (() => void)[] = [];
  let alive = true;
  const ifAlive = (run: () => void) => (): void => {
    if (alive) run();
  };

  return {
    name,
    get alive() {
      return alive;
    },
    clock: {
      now: () => EPOCH + scheduler.now + skew,
      monotonic: () => origin + scheduler.now,
      after: (delayMs, run) => scheduler.after(delayMs, ifAlive(run)),
      soon: (run) => void scheduler.after(0, ifAlive(run)),
    },
    random: {
      unit: () => chance.unit(),
      bytes: (size) => Uint8Array.from({ length: size }, () => chance.integer(0, 255)),
    },
    crash() {
      if (!alive) return;
      alive = false;
      world.note(`${name} is killed`);
      for (const listener of listeners) listener();
    },
    onCrash: (run) => void listeners.push(run),
    call(what, execute) {
      return new Promise((resolve, reject) => {
        const lost = world.faulty && chance.happens(0.02);
        const late = world.faulty && chance.happens(0.02);
        scheduler.after(latency(world), () => {
          if (!alive && chance.happens(0.5)) return; // it was not sent any more
          const fail = (): void => reject(new Away(`${what}: the connection broke`));
          if (isAway() || lost) {
            scheduler.after(latency(world), ifAlive(fail));
            return;
          }
          const result = execute();
          scheduler.after(
            latency(world),
            ifAlive(() => {
              if (late) fail();
              else resolve(result);
            }),
          );
        });
      });
    },
  };
}
