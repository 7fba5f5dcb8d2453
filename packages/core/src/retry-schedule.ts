const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** How long to wait after the first, second, … failure in a row; the last one repeats. */
const retryDelaysMs: readonly number[] = [
  1 * SECOND,
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  1 * HOUR,
  2 * HOUR,
  4 * HOUR,
];

/** A receiver's `Retry-After` is followed up to this. */
const MAX_RETRY_AFTER_MS = HOUR;

/**
 * Milliseconds to wait after `failures` failures in a row (1 or more), ±20 % by `unit` in [0, 1), or what the
 * receiver asked for if that is longer.
 */
export function delayAfterFailure(failures: number, unit: number, retryAfterMs = 0): number {
  const step = Math.min(Math.max(failures, 1), retryDelaysMs.length) - 1;
  const base = retryDelaysMs[step] as number;
  const jittered = Math.round(base * (0.8 + 0.4 * unit));
  return Math.max(jittered, Math.min(retryAfterMs, MAX_RETRY_AFTER_MS));
}
