import type { Broker } from "@messenger/broker";
import type { EndpointNews, EndpointsChanged } from "@messenger/store";
import { type Clock, type Periodic, runPeriodically, unlessAborted } from "@messenger/core";

/** What the relay needs of the store. */
export interface RelayStore {
  takeOutbox(limit: number): Promise<readonly { id: number; inboxIds: readonly number[] }[]>;
  deleteOutbox(ids: readonly number[]): Promise<void>;
  takeDue(limit: number): Promise<readonly number[]>;
  /** Sends notifications whose time has come; returns the rows that cover their wakes. */
  sendScheduled(limit: number): Promise<readonly EndpointsChanged[]>;
  /** Tells owners what became of their endpoints; likewise, and whether there may be more. */
  tellOwners(
    limit: number,
    describe: (news: EndpointNews) => { eventId: string; data: Uint8Array },
  ): Promise<{ told: readonly EndpointsChanged[]; hasMore: boolean }>;
  /** Deletes what is older than the operator wants to keep. */
  prune(days: number): Promise<void>;
}

const EVERY_MS = 1_000;
const PRUNE_EVERY_MS = 60 * 60_000;
const DUE_ROWS = 500;
/** Of up to 1,000 inboxes each: they are due again after 5 s, and must be through by then. */
const OUTBOX_ROWS = 50;
/**
 * Wakes published at once: far fewer than the broker lets be unconfirmed, whatever number of inboxes the rows
 * name.
 */
const WAKES = 1_000;
const SCHEDULED = 100;
const NEWS = 50;
/** Rounds in one go, so that a long backlog does not keep it from looking at the other kind. */
const MAX_ROUNDS = 20;

/**
 * Makes wakes of what would otherwise lie: outbox rows whose events nobody confirmed, and endpoints whose due
 * time has come. Any number of relays can run at the same time; each passes over what another one has taken.
 */
export function startRelay(deps: {
  store: RelayStore;
  broker: Pick<Broker, "publish" | "connected">;
  clock: Clock;
  /** The id of an event, and what it says, sealed under that. */
  describeNews: (news: EndpointNews) => { eventId: string; data: Uint8Array };
  keepAttemptsDays: number;
  onWork(work: { kind: "outbox" | "due"; count: number }): void;
  onError(error: unknown): void;
}): Periodic {
  const { store, broker, clock } = deps;
  let prunedAt = clock.monotonic();

  /**
   * Resolves with whether all wakes were confirmed. A broker that is short of memory confirms nothing: that
   * does not hold up a stop.
   */
  async function wake(inboxes: readonly number[], signal: AbortSignal): Promise<boolean> {
    const distinct = [...new Set(inboxes)];
    for (let from = 0; from < distinct.length; from += WAKES) {
      const wakes = distinct.slice(from, from + WAKES).map((inbox) => ({ type: "wake" as const, inbox }));
      if ((await unlessAborted(broker.publish(wakes), signal)) !== true) return false;
    }
    return true;
  }

  async function relayOutbox(signal: AbortSignal): Promise<boolean> {
    const rows = await store.takeOutbox(OUTBOX_ROWS);
    if (rows.length === 0) return false;
    deps.onWork({ kind: "outbox", count: rows.length });
    const inboxes = rows.flatMap((row) => row.inboxIds);
    // Unconfirmed, they are due again in 5 s.
    if (await wake(inboxes, signal)) await store.deleteOutbox(rows.map((row) => row.id));
    return rows.length === OUTBOX_ROWS;
  }

  async function relayDue(signal: AbortSignal): Promise<boolean> {
    const inboxes = await store.takeDue(DUE_ROWS);
    if (inboxes.length === 0) return false;
    deps.onWork({ kind: "due", count: inboxes.length });
    await wake(inboxes, signal); // unconfirmed, they are due again when the relay's lease ends
    return inboxes.length === DUE_ROWS;
  }

  async function relayScheduled(signal: AbortSignal): Promise<boolean> {
    const sent = await store.sendScheduled(SCHEDULED);
    await wakeFor(sent, signal);
    return sent.length === SCHEDULED;
  }

  async function relayNews(signal: AbortSignal): Promise<boolean> {
    const { told, hasMore } = await store.tellOwners(NEWS, deps.describeNews);
    await wakeFor(told, signal);
    return hasMore;
  }

  /** Unconfirmed, what covers them is due in some seconds. */
  async function wakeFor(changed: readonly EndpointsChanged[], signal: AbortSignal): Promise<void> {
    if (changed.length === 0) return;
    const inboxes = changed.map(({ inbox }) => inbox);
    if (await wake(inboxes, signal)) await store.deleteOutbox(changed.map(({ outboxId }) => outboxId));
  }

  /** `relay` returns whether there may be more. */
  async function drain(signal: AbortSignal, relay: (signal: AbortSignal) => Promise<boolean>): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS && !signal.aborted && broker.connected; round += 1) {
      if (!(await relay(signal))) return;
    }
  }

  return runPeriodically({
    clock,
    everyMs: EVERY_MS,
    onError: (error) => deps.onError(error),
    async round(signal) {
      await drain(signal, relayOutbox);
      await drain(signal, relayDue);
      await drain(signal, relayScheduled);
      await drain(signal, relayNews);
      if (signal.aborted || clock.monotonic() - prunedAt <= PRUNE_EVERY_MS) return;
      prunedAt = clock.monotonic();
      // Beside the rounds, and not waited for by a stop: it may take long. What is left breaks off when the store closes; the next one goes on.
      store.prune(deps.keepAttemptsDays).catch((error: unknown) => {
        if (!signal.aborted) deps.onError(error);
      });
    },
  });
}
