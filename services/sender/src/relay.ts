import type { Broker } from "@messenger/broker";
import type { Clock, Timer } from "@messenger/core";

/** What the relay needs of the store. */
export interface RelayStore {
  takeOutbox(limit: number): Promise<readonly { id: number; inboxIds: readonly number[] }[]>;
  deleteOutbox(ids: readonly number[]): Promise<void>;
  takeDue(limit: number): Promise<readonly number[]>;
  /** Deletes what is older than the operator wants to keep. */
  prune(days: number): Promise<void>;
}

export interface Relay {
  /** Ends after the round that is under way. */
  stop(): Promise<void>;
}

const EVERY_MS = 1_000;
const PRUNE_EVERY_MS = 60 * 60_000;
const ROWS = 500;
/** Wakes published at once: far fewer than the broker lets be unconfirmed, whatever number of inboxes the rows name. */
const WAKES = 1_000;
/** Rounds of `ROWS` in one go, so that a long backlog does not keep it from looking at the other kind. */
const MAX_ROUNDS = 20;

/**
 * Makes wakes of what would otherwise lie: outbox rows whose events nobody confirmed, and endpoints whose due time has come. Any number of
 * relays can run at the same time; each passes over what another one has taken.
 */
export function startRelay(deps: {
  store: RelayStore;
  broker: Pick<Broker, "publish" | "connected">;
  clock: Clock;
  keepAttemptsDays: number;
  onWork(work: { kind: "outbox" | "due"; count: number }): void;
  onError(error: unknown): void;
}): Relay {
  const { store, broker, clock } = deps;
  const stopping = new AbortController();
  let timer: Timer | undefined;
  let prunedAt = clock.monotonic();

  /** Resolves with whether all wakes were confirmed. */
  async function wake(inboxes: readonly number[]): Promise<boolean> {
    const distinct = [...new Set(inboxes)];
    for (let from = 0; from < distinct.length; from += WAKES) {
      const wakes = distinct.slice(from, from + WAKES).map((inbox) => ({ type: "wake" as const, inbox }));
      if (!(await broker.publish(wakes))) return false;
    }
    return true;
  }

  async function relayOutbox(): Promise<number> {
    const rows = await store.takeOutbox(ROWS);
    if (rows.length === 0) return 0;
    // Unconfirmed, they are due again in 5 s.
    if (await wake(rows.flatMap((row) => row.inboxIds))) await store.deleteOutbox(rows.map((row) => row.id));
    return rows.length;
  }

  async function relayDue(): Promise<number> {
    const inboxes = await store.takeDue(ROWS);
    if (inboxes.length > 0) await wake(inboxes); // unconfirmed, they are due again when the relay's lease ends
    return inboxes.length;
  }

  async function drain(kind: "outbox" | "due", relay: () => Promise<number>): Promise<void> {
    let count = 0;
    for (let round = 0; round < MAX_ROUNDS && !stopping.signal.aborted && broker.connected; round += 1) {
      const taken = await relay();
      count += taken;
      if (taken < ROWS) break;
    }
    if (count > 0) deps.onWork({ kind, count });
  }

  async function round(): Promise<void> {
    try {
      await drain("outbox", relayOutbox);
      await drain("due", relayDue);
      if (clock.monotonic() - prunedAt > PRUNE_EVERY_MS) {
        prunedAt = clock.monotonic();
        // Beside the rounds, and not waited for by `stop`: it may take long. What is left breaks off when the store closes; the next one goes on.
        store.prune(deps.keepAttemptsDays).catch((error: unknown) => {
          if (!stopping.signal.aborted) deps.onError(error);
        });
      }
    } catch (error) {
      deps.onError(error); // the next round tries again
    }
  }

  let running: Promise<void> = Promise.resolve();
  function plan(): void {
    timer = clock.after(EVERY_MS, () => {
      running = round().then(() => {
        if (!stopping.signal.aborted) plan();
      });
    });
  }
  plan();

  return {
    async stop() {
      stopping.abort();
      timer?.cancel();
      await running;
    },
  };
}
