import { type Clock, type Periodic, runPeriodically, sleep } from "@messenger/core";

/** Which sessions have ended while their tokens are still valid, as every replica knows it within a second. */
export interface Revocations extends Periodic {
  has(sessionId: number): boolean;
  /** Ended here: counts at once. */
  add(sessionId: number): void;
  /** Calls `onEnded` once the session has ended, or at once where it has; until it is closed. */
  watch(sessionId: number, onEnded: () => void): { close(): void };
  /** False where the store could not be read for 2 s: nobody's token can be trusted then. */
  readonly fresh: boolean;
  /**
   * Resolves with whether it is fresh, at once where it is: where it is not, perhaps only because this
   * process or the store had no time, the store is read now, for up to 5 s.
   */
  freshen(): Promise<boolean>;
}

const EVERY_MS = 500;
/** A transaction that revokes may commit later than the moment it wrote. */
const OVERLAP_SECONDS = 60;
const STALE_AFTER_MS = 2_000;
const FRESHEN_WITHIN_MS = 5_000;

/** Reads the revocations of a token's lifetime, then what is new, twice a second. */
export async function startRevocations(deps: {
  /** Sessions that ended within the last `seconds`. */
  recentRevocations(seconds: number): Promise<readonly number[]>;
  ttlSeconds: number;
  clock: Clock;
  onError(error: unknown): void;
}): Promise<Revocations> {
  const { clock, ttlSeconds } = deps;
  const endedAt = new Map<number, number>();
  const watched = new Map<number, Set<() => void>>();
  let readAt = clock.monotonic();
  let reading: Promise<void> | undefined;

  function end(session: number, at: number): void {
    endedAt.set(session, at);
    for (const onEnded of watched.get(session) ?? []) onEnded();
  }

  async function read(seconds: number): Promise<void> {
    const startedAt = clock.monotonic();
    const sessions = await deps.recentRevocations(seconds);
    for (const session of sessions) if (!endedAt.has(session)) end(session, startedAt);
    readAt = startedAt;
    for (const [session, at] of endedAt) {
      if (startedAt - at < (ttlSeconds + OVERLAP_SECONDS) * 1000) break; // the rest is newer
      endedAt.delete(session);
    }
  }

  /** One at a time, for all who want it. */
  function readNew(): Promise<void> {
    reading ??= read(Math.ceil((clock.monotonic() - readAt) / 1000) + OVERLAP_SECONDS).finally(() => (reading = undefined));
    return reading;
  }

  const isFresh = (): boolean => clock.monotonic() - readAt < STALE_AFTER_MS;

  await read(ttlSeconds + OVERLAP_SECONDS);
  const polling = runPeriodically({ clock, everyMs: EVERY_MS, round: readNew, onError: (error) => deps.onError(error) });

  return {
    has: (sessionId) => endedAt.has(sessionId),
    add: (sessionId) => end(sessionId, clock.monotonic()),
    watch(sessionId, onEnded) {
      const watchers = watched.get(sessionId) ?? new Set();
      watched.set(sessionId, watchers.add(onEnded));
      if (endedAt.has(sessionId)) onEnded();
      return {
        close() {
          watchers.delete(onEnded);
          if (watchers.size === 0) watched.delete(sessionId);
        },
      };
    },
    get fresh() {
      return isFresh();
    },
    async freshen() {
      if (isFresh()) return true;
      const done = new AbortController();
      await Promise.race([readNew().catch(() => undefined), sleep(clock, FRESHEN_WITHIN_MS, done.signal)]);
      done.abort();
      return isFresh();
    },
    stop: () => polling.stop(),
  };
}
