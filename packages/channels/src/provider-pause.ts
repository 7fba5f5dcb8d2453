import type { Clock } from "@messenger/core";
import type { PushResult } from "./channel.ts";

const PAUSES_MS: readonly number[] = [5_000, 15_000, 30_000, 60_000];
/** So many failures in a row of a provider, at different addresses, are an outage. */
const OUTAGE_AFTER = 3;

/**
 * Leaves a provider alone while it is down: the outage is the provider's, and not that of each address behind it.
 * After a pause one push tries; if it fails, too, the next pause is longer.
 */
export interface ProviderPause {
  /** Makes the attempt, unless the provider is left alone. */
  attempt(push: () => Promise<PushResult>): Promise<PushResult>;
}

export function createProviderPause(clock: Clock): ProviderPause {
  let inARow = 0;
  /** How many pauses there have been since something was taken. */
  let pauses = 0;
  let pausedAt = Number.NEGATIVE_INFINITY;
  let until = 0;

  function onFailure(startedAt: number, retryAfterMs: number): void {
    inARow += 1;
    // Of those that began before, one was enough to begin the pause.
    if (inARow < OUTAGE_AFTER || startedAt <= pausedAt) return;
    const pauseMs = PAUSES_MS[Math.min(pauses, PAUSES_MS.length - 1)] as number;
    pauses += 1;
    pausedAt = clock.monotonic();
    until = pausedAt + Math.max(pauseMs, retryAfterMs);
  }

  return {
    async attempt(push) {
      const startedAt = clock.monotonic();
      const leftMs = until - startedAt;
      if (leftMs > 0) {
        return {
          result: "transient",
          code: "EPROVIDER",
          detail: "the provider is down",
          isProvidersFault: true,
          isAttempt: false,
          retryAfterMs: leftMs,
        };
      }
      // Until the first one after a pause has ended, the others wait.
      if (inARow >= OUTAGE_AFTER) until = startedAt + (PAUSES_MS[0] as number);
      const result = await push();
      if (result.isProvidersFault === true) {
        onFailure(startedAt, result.retryAfterMs ?? 0);
        return result;
      }
      inARow = 0;
      pauses = 0;
      until = 0;
      return result;
    },
  };
}
