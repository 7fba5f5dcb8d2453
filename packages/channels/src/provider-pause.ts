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
  let until = 0;

  return {
    async attempt(push) {
      const leftMs = until - clock.monotonic();
      if (leftMs > 0) {
        return {
          result: "transient",
          code: "EPROVIDER",
          detail: "the provider is down",
          isProvidersFault: true,
          retryAfterMs: leftMs,
        };
      }
      // Until it has ended, the others wait.
      if (inARow >= OUTAGE_AFTER) until = clock.monotonic() + (PAUSES_MS[0] as number);
      const result = await push();
      if (result.isProvidersFault !== true) {
        inARow = 0;
        until = 0;
        return result;
      }
      inARow += 1;
      if (inARow >= OUTAGE_AFTER) {
        const pauseMs = PAUSES_MS[Math.min(inARow - OUTAGE_AFTER, PAUSES_MS.length - 1)] as number;
        until = clock.monotonic() + Math.max(pauseMs, result.retryAfterMs ?? 0);
      }
      return result;
    },
  };
}
