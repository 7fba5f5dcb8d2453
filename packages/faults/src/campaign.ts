import { inspect } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { createChance } from "@messenger/simulation";
import { waitFor, makePeople } from "@messenger/testkit";
import { openCluster } from "./cluster.ts";
import { pickFault } from "./faults.ts";
import { startLoad } from "./load.ts";
import { startReceiver } from "./receiver.ts";
import { createTimeline } from "./timeline.ts";

export interface CampaignOptions {
  seed: number;
  faults: number;
  /** The faults to pick from, by name; all if not given. */
  only?: RegExp;
  /** PostgreSQL must be one that can be rolled back. */
  canRollBack?: boolean;
  onLine: (line: string) => void;
}

export interface CampaignResult {
  faults: number;
  answered: number;
  failed: number;
  repeats: number;
  /** Pushes that overlapped another one to the same address, all of them while a sender was stopped or cut off. */
  overlaps: number;
  restarts: number;
  /** Resident megabytes of each process, at the end. */
  memory: Readonly<Record<string, number>>;
  /** The most that a process grew by in its life, in megabytes, after its first round. */
  grownBy: number;
}

/** Something was lost, out of order, or uncovered. The message has the seed and what happened. */
export class CampaignFailed extends Error {
  override readonly name = "CampaignFailed";
}

const PEOPLE = 40;
const PER_SECOND = 120;
const FAULTS_IN_ROUND = 3;
/** An endpoint that failed four times in a row, on a slow machine, is tried again within that. */
const ARRIVE_WITHIN_MS = 600_000;
/** What a process may come to hold more of in its life, after its first round. Its heap is limited. */
const MAX_GROWTH_BYTES = 150e6;
/** The invariant is looked at after every so many rounds: that stops all senders, which would never grow old. */
const ROUNDS_BETWEEN_STOPS = 4;

/**
 * Breaks a cluster under a steady load, round by round, and looks after each whether everything that was
 * answered arrived.
 */
export async function runCampaign({ seed, faults, only, canRollBack, onLine }: CampaignOptions): Promise<CampaignResult> {
  const chance = createChance(seed);
  const timeline = createTimeline(onLine);
  const receiver = await startReceiver();
  const cluster = await openCluster(timeline, { listeners: 2, senders: 2, canRollBack });
  const memory: Record<string, { pid: number; bytes: number }>[] = [];
  try {
    // Half of them have a name in their address.
    const byName = receiver.url.replace("127.0.0.1", "receiver.example");
    const listenerUrl = cluster.urls()[0] as string;
    const people = [
      ...(await makePeople(listenerUrl, byName, PEOPLE / 2)),
      ...(await makePeople(listenerUrl, receiver.url, PEOPLE / 2)),
    ];
    const load = startLoad({ chance: createChance(seed + 1), urls: () => cluster.urls(), people, perSecond: PER_SECOND });
    /** Answered, and lost with what the database lost when it came back older. */
    const forgotten = new Set<string>();
    /** No push to an address may overlap another but in these times. */
    const excused: { from: number; until: number }[] = [];

    let rolledBack = false;

    async function onRolledBack(): Promise<void> {
      rolledBack = true;
      const before = [...load.answered];
      const left = await cluster.messageIds();
      for (const id of before) if (!left.has(id)) forgotten.add(id);
      timeline.note(`${forgotten.size} answered messages were lost by the database`);
    }

    try {
      for (let done = 0; done < faults;) {
        const count = Math.min(FAULTS_IN_ROUND, faults - done);
        timeline.note(`round ${memory.length + 1}`);
        const inflicted: Promise<void>[] = [];
        for (let n = 0; n < count; n += 1) {
          await sleep(chance.integer(200, 3_000));
          const fault = pickFault(chance, cluster, receiver, onRolledBack, only);
          timeline.note(fault.name);
          const time = { from: performance.now(), until: Number.POSITIVE_INFINITY };
          if (fault.excusesOverlapMs !== undefined) excused.push(time);
          // Two may be at work on the same server: the second then finds it away, and that is a fault, too.
          inflicted.push(
            fault
              .inflict()
              .catch((error: unknown) => timeline.note(`${fault.name}: ${String(error)}`))
              .finally(() => (time.until = performance.now() + (fault.excusesOverlapMs ?? 0))),
          );
        }
        await Promise.all(inflicted);
        done += count;
        const round = memory.length + 1;
        // Before what was accepted has arrived, which would hide that nothing covered it for a while.
        if (round % ROUNDS_BETWEEN_STOPS === 0 || done === faults) await checkCovered(`round ${round}`);
        await checkArrived(`round ${round}`);
        memory.push(await cluster.memory());
      }
    } finally {
      await load.stop();
    }
    await checkArrived("the end");
    await checkCovered("the end");
    if (cluster.faults.length > 0) throw failure(cluster.faults.join("; "));
    const grownBy = growth();
    if (grownBy > MAX_GROWTH_BYTES) throw failure(`a process grew by ${Math.round(grownBy / 1e6)} MB: ${JSON.stringify(memory)}`);
    return {
      faults,
      answered: load.answered.size,
      failed: load.failed,
      repeats: receiver.repeats,
      overlaps: receiver.overlaps.length,
      restarts: cluster.restarts,
      memory: Object.fromEntries(Object.entries(memory.at(-1) ?? {}).map(([name, { bytes }]) => [name, Math.round(bytes / 1e6)])),
      grownBy: Math.round(grownBy / 1e6),
    };

    async function checkCovered(when: string): Promise<void> {
      const uncovered = await cluster.findUncovered();
      if (uncovered.length > 0) throw failure(`${when}: nothing covers ${JSON.stringify(uncovered.slice(0, 5))}`);
      timeline.note(`${when}: everything is covered`);
    }

    async function checkArrived(when: string): Promise<void> {
      // The load goes on meanwhile: what was answered by now must arrive.
      const due = [...load.answered];
      const missing = (): string[] => due.filter((id) => !receiver.taken.has(id) && !forgotten.has(id));
      await waitFor(() => missing().length === 0, { what: "all to arrive", timeoutMs: ARRIVE_WITHIN_MS }).catch(() => undefined); // said below
      const lost = missing();
      if (lost.length > 0)
        throw failure(
          `${when}: ${lost.length} of ${due.length} answered messages did not arrive: ${lost.slice(0, 5).join(", ")}; ` +
            (await cluster.describe(lost).catch((error: unknown) => [String(error)])).join("; "),
        );
      const kept = rolledBack ? await cluster.messageIds() : undefined;
      const disorder = receiver.findDisorder((id) => kept?.has(id) ?? true);
      if (disorder.length > 0) throw failure(`${when}: out of order: ${disorder.slice(0, 5).join("; ")}`);
      const overlaps = receiver.overlaps.filter(({ at }) => !excused.some(({ from, until }) => at >= from && at <= until));
      if (overlaps.length > 0)
        throw failure(
          `${when}: ${overlaps.length} pushes overlapped, with no sender stopped or cut off: ${JSON.stringify(overlaps.slice(0, 3))}`,
        );
      timeline.note(`${when}: ${due.length} answered, all arrived, in order; ${receiver.repeats} repeats; ${load.failed} failed`);
    }
  } catch (error) {
    if (error instanceof CampaignFailed) throw error;
    throw failure(inspect(error)); // with its causes
  } finally {
    await cluster.close();
    await receiver.close();
  }

  /** The most that a process grew by, from its first round to its last, in bytes. */
  function growth(): number {
    const first = new Map<number, number>();
    let most = 0;
    for (const { pid, bytes } of memory.flatMap((round) => Object.values(round))) {
      const before = first.get(pid);
      if (before === undefined) first.set(pid, bytes);
      else most = Math.max(most, bytes - before);
    }
    return most;
  }

  function failure(what: string): CampaignFailed {
    return new CampaignFailed(`${what}\n\nSeed ${seed}. What happened:\n${timeline.lines.join("\n")}`);
  }
}
