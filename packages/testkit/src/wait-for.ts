import { setTimeout as sleep } from "node:timers/promises";

export interface WaitOptions {
  /** What is waited for: the error says so when it does not come. */
  what: string;
  timeoutMs?: number;
}

const EVERY_MS = 20;

/**
 * Waits until `condition` returns something true, and returns that. What it throws counts as "not yet", and
 * is the cause when time is up.
 * @throws when the time (30 s) is up.
 */
export async function waitFor<Value>(condition: () => Value | Promise<Value>, options: WaitOptions): Promise<NonNullable<Value>> {
  const timeoutMs = options.timeoutMs ?? 30_000;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== null && value !== false) return value;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${options.what}`, { cause: lastError });
    await sleep(EVERY_MS);
  }
}
