import type { Clock, Timer } from "@messenger/core";

/** Which sessions have ended while their tokens are still valid, as every replica knows it within a second. */
export interface Revocations {
  has(sessionId: number): boolean;
  /** Ended here: counts at once. */
  add(sessionId: number): void;
  /** False where the store could not be read for 2 s: nobody's token can be trusted then. */
  readonly fresh: boolean;
  stop(): void;
}

const EVERY_MS = 500;
/** A transaction that revokes may commit later than the moment it wrote. */
const OVERLAP_SECONDS = 60;
const STALE_AFTER_MS = 2_000;

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
  let readAt = clock.monotonic();
  let stopped = false;
  let timer: Timer | undefined;

  async function read(seconds: number): Promise<void> {
    const startedAt = clock.monotonic();
    const sessions = await deps.recentRevocations(seconds);
    for (const session of sessions) if (!endedAt.has(session)) endedAt.set(session, startedAt);
    readAt = startedAt;
    for (const [session, at] of endedAt) {
      if (startedAt - at < (ttlSeconds + OVERLAP_SECONDS) * 1000) break; // the rest is newer
      endedAt.delete(session);
    }
  }

  async function poll(): Promise<void> {
    try {
      await read(Math.ceil((clock.monotonic() - readAt) / 1000) + OVERLAP_SECONDS);
    } catch (error) {
      deps.onError(error);
    }
    if (!stopped) timer = clock.after(EVERY_MS, () => void poll());
  }

  await read(ttlSeconds + OVERLAP_SECONDS);
  timer = clock.after(EVERY_MS, () => void poll());

  return {
    has: (sessionId) => endedAt.has(sessionId),
    add(sessionId) {
      endedAt.set(sessionId, clock.monotonic());
    },
    get fresh() {
      return clock.monotonic() - readAt < STALE_AFTER_MS;
    },
    stop() {
      stopped = true;
      timer?.cancel();
    },
  };
}
