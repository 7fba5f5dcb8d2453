import { Overloaded } from "./append-queue.ts";

/**
 * Who waits for a password to be hashed, the first before the others: who signs in from where they have been
 * before, who signs in, who signs up.
 */
const URGENCIES = ["familiar", "log-in", "sign-up"] as const;
export type Urgency = (typeof URGENCIES)[number];

export interface HashQueue {
  /** @throws {Overloaded} where too many wait, of this network or in all. */
  run<Result>(urgency: Urgency, network: string, work: () => Promise<Result>): Promise<Result>;
  /** @throws {Overloaded} where `run` would, at this moment. */
  checkRoom(urgency: Urgency, network: string): void;
  readonly waiting: number;
}

/** Of each urgency so many may wait, and of one network so many of them. */
const MAX_WAITING = 256;
const MAX_WAITING_OF_NETWORK = 8;
/** Of so many, one who signs in and one who signs up goes first: they wait long, but not for ever. */
const TURNS = 8;

/**
 * Networks take turns, so that one of them holds up no other. Each hash takes a thread and 19 MiB for some 20 ms. At most
 * `maxRunning` hashes run, and one more of a log-in from a familiar network, which waits for no hash of a crowd.
 */
export function createHashQueue(maxRunning: number): HashQueue {
  const queues = URGENCIES.map(() => ({ byNetwork: new Map<string, (() => Promise<void>)[]>(), waiting: 0 }));
  const familiar = queues.slice(0, 1);
  const [, logIns, signUps] = queues;
  let running = 0;
  let isExtraRunning = false;
  let started = 0;

  /** The next one of these queues, in their order. */
  function next(order: typeof queues): (() => Promise<void>) | undefined {
    for (const queue of order) {
      for (const [network, works] of queue.byNetwork) {
        const work = works.shift();
        queue.byNetwork.delete(network); // to the end of the line
        if (works.length > 0) queue.byNetwork.set(network, works);
        queue.waiting -= 1;
        return work;
      }
    }
    return undefined;
  }

  function pump(): void {
    while (running < maxRunning) {
      started += 1;
      const turn = started % TURNS;
      const first = turn === 0 ? signUps : turn === TURNS / 2 ? logIns : undefined;
      const work = next(first === undefined ? queues : [first, ...queues]);
      if (work === undefined) return;
      running += 1;
      void work().finally(() => {
        running -= 1;
        pump();
      });
    }
    const extra = isExtraRunning ? undefined : next(familiar);
    if (extra === undefined) return;
    isExtraRunning = true;
    void extra().finally(() => {
      isExtraRunning = false;
      pump();
    });
  }

  const queueOf = (urgency: Urgency): (typeof queues)[number] => queues[URGENCIES.indexOf(urgency)] as (typeof queues)[number];

  function checkRoom(urgency: Urgency, network: string): void {
    const queue = queueOf(urgency);
    if ((queue.byNetwork.get(network)?.length ?? 0) >= MAX_WAITING_OF_NETWORK) {
      throw new Overloaded("too many sign in or sign up from this network at this moment");
    }
    if (queue.waiting >= MAX_WAITING) throw new Overloaded("too many sign in or sign up at this moment");
  }

  return {
    checkRoom,
    get waiting() {
      return queues.reduce((sum, queue) => sum + queue.waiting, 0);
    },
    async run<Result>(urgency: Urgency, network: string, work: () => Promise<Result>): Promise<Result> {
      checkRoom(urgency, network);
      const queue = queueOf(urgency);
      const works = queue.byNetwork.get(network) ?? [];
      queue.byNetwork.set(network, works);
      queue.waiting += 1;
      return new Promise((resolve, reject) => {
        works.push(() => work().then(resolve, reject));
        pump();
      });
    },
  };
}
