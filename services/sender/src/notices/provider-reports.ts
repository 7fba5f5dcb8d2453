import type { Channels, ProviderReport } from "@messenger/channels";
import { type Clock, type Periodic, runPeriodically } from "@messenger/core";

/** What asking providers needs of the store. */
export interface UnreportedStore {
  takeUnreported(limit: number): Promise<readonly { id: string; address: string; providerId: string }[]>;
  reportNotification(id: string, status: ProviderReport["status"], code: string | null): Promise<void>;
}

const EVERY_MS = 60_000;
const AT_ONCE = 20;
const MAX_ROUNDS = 50;

/**
 * Asks providers what became of notifications that they took a day ago and said nothing of since: a callback may be
 * lost. Any number of senders can do so at the same time.
 */
export function startProviderReports(deps: {
  store: UnreportedStore;
  channels: Pick<Channels, "channelFor">;
  clock: Clock;
  onError(error: unknown): void;
}): Periodic {
  const { store, channels, clock } = deps;

  return runPeriodically({
    clock,
    everyMs: EVERY_MS,
    onError: (error) => deps.onError(error),
    async round(signal) {
      for (let round = 0; round < MAX_ROUNDS && !signal.aborted; round += 1) {
        const unreported = await store.takeUnreported(AT_ONCE);
        for (const { id, address, providerId } of unreported) {
          const report = await channels.channelFor(address)?.ask?.(providerId);
          if (report !== undefined) await store.reportNotification(id, report.status, report.code);
          if (signal.aborted) return;
        }
        if (unreported.length < AT_ONCE) return;
      }
    },
  });
}
