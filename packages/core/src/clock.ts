import { randomFillSync } from "node:crypto";

/** A timer that can be called off; calling it off twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as the program sees it. Everything that waits or asks for the time takes one, so that a test or a
 * simulation can drive it.
 */
export interface Clock {
  /** Milliseconds since the epoch, UTC. May jump. For time stamps only. */
  now(): number;
  /** Milliseconds since some fixed moment. Never goes back. For measuring and for deadlines. */
  monotonic(): number;
  /** Calls `run` once, `delayMs` from now. Does not keep the process alive by itself. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` once everything that can be read now was read, in this turn of the event loop. */
  soon(run: () => void): void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (run) => void setImmediate(run),
};

/** Randomness as the program sees it: replaceable, for the same reason as the clock. */
export interface Random {
  /** A number in [0, 1), for jitter. */
  unit(): number;
  /** `size` bytes fit for keys and ids. */
  bytes(size: number): Uint8Array;
}

const POOL_BYTES = 8 * 1024;
let pool = new Uint8Array(0);
let poolUsed = 0;

/**
 * Takes its bytes from a pool: asking the system for each few of them costs 1.4 µs, and a message needs three
 * times.
 */
export const systemRandom: Random = {
  unit: () => Math.random(),
  bytes(size) {
    if (size > POOL_BYTES / 4) return randomFillSync(new Uint8Array(size));
    if (poolUsed + size > pool.length) {
      pool = randomFillSync(new Uint8Array(POOL_BYTES));
      poolUsed = 0;
    }
    poolUsed += size;
    // A part of the pool that is given out once, and that a new pool does not write over.
    return pool.subarray(poolUsed - size, poolUsed);
  },
};
