/**
 * What is known of how an endpoint answers, as far as permits go.
 *
 * - `quick`: its last push was taken within a second.
 * - `new`: nothing is known of it yet.
 * - `slow`: its last push was taken, but took longer.
 * - `failing`: its last push failed.
 */
export type Pace = "quick" | "new" | "slow" | "failing";

/** Whose push it is: an account, and the origin it goes to. */
export interface PermitRequest {
  account: number;
  origin: string;
  pace: Pace;
}

/** One push may be in flight. */
export interface Permit {
  /** Counts the push as `slow` from now on, if there is room among those: it has been in flight for long. */
  slowDown(): void;
  release(): void;
}

/** A request that waits. */
export interface Waiting {
  /** Gives up waiting: `grant` is not called any more. */
  withdraw(): void;
}

export interface Permits {
  /** Takes a permit if nobody of that pace has to wait for one; undefined otherwise. */
  take(request: PermitRequest): Permit | undefined;
  /** Waits for a permit: `grant` is called once, at once or later, unless it is withdrawn. */
  wait(request: PermitRequest, grant: (permit: Permit) => void): Waiting;
  readonly inFlight: number;
  readonly waiting: number;
}

interface Waiter {
  request: PermitRequest;
  grant(permit: Permit): void;
}

/** Who waits of one pace: accounts in the order of their turns. */
interface Queue {
  waiters: Map<number, Waiter[]>;
  /** Accounts that may have a waiter who can go. */
  turns: Set<number>;
  /** Accounts that have to wait for an origin to have room, by that origin; or for themselves, by their own number. */
  parked: Map<string | number, Set<number>>;
}

/** To one origin at most. */
const PER_ORIGIN = 32;
const PACES: readonly Pace[] = ["quick", "new", "slow", "failing"];

/**
 * Shares out the pushes in flight, `total` at most. Accounts take turns, so that one with many endpoints does not hold up the others. Endpoints that are
 * new, slow or failing have a quarter for each kind: so none of them can use up what the others need, or those that answer quickly. An account
 * has an eighth at most (or 4), and an origin 32.
 */
export function createPermits(total: number): Permits {
  const quarter = Math.max(1, Math.floor(total / 4));
  const share: Record<Pace, number> = { quick: total, new: quarter, slow: quarter, failing: quarter };
  const perAccount = Math.max(Math.min(total, 4), Math.floor(total / 8));
  const counts: Record<Pace, number> = { quick: 0, new: 0, slow: 0, failing: 0 };
  const byOrigin = new Map<string, number>();
  const byAccount = new Map<number, number>();
  const queues = Object.fromEntries(
    PACES.map((pace): [Pace, Queue] => [pace, { waiters: new Map(), turns: new Set(), parked: new Map() }]),
  ) as Record<Pace, Queue>;
  let inFlight = 0;
  let waiting = 0;
  let first = 0;

  const hasRoomFor = (pace: Pace): boolean => inFlight < total && counts[pace] < share[pace];

  const originHasRoom = (origin: string): boolean => (byOrigin.get(origin) ?? 0) < PER_ORIGIN;
  const accountHasRoom = (account: number): boolean => (byAccount.get(account) ?? 0) < perAccount;

  function grant({ account, origin, pace }: PermitRequest): Permit {
    let counted = pace;
    let released = false;
    inFlight += 1;
    counts[pace] += 1;
    change(byOrigin, origin, 1);
    change(byAccount, account, 1);
    return {
      slowDown() {
        if (released || counted === "slow" || counts.slow >= share.slow) return;
        counts[counted] -= 1;
        counted = "slow";
        counts.slow += 1;
        serve(pace);
      },
      release() {
        if (released) return;
        released = true;
        inFlight -= 1;
        counts[counted] -= 1;
        change(byOrigin, origin, -1);
        change(byAccount, account, -1);
        if (waiting === 0) return;
        for (const queue of Object.values(queues)) {
          unpark(queue, origin);
          unpark(queue, account);
        }
        // Each pace is the first to be served in its turn, so that none waits for ever at an origin that another one fills.
        first = (first + 1) % PACES.length;
        for (let n = 0; n < PACES.length; n += 1) serve(PACES[(first + n) % PACES.length] as Pace);
      },
    };
  }

  /** There is room for one: one account that waits for it may go. */
  function unpark(queue: Queue, place: string | number): void {
    const accounts = queue.parked.get(place);
    if (accounts === undefined) return;
    for (const account of accounts) {
      accounts.delete(account);
      // It may have gone on meanwhile, by room that was made elsewhere.
      const waits = queue.waiters.get(account)?.some(({ request }) => place === account || request.origin === place);
      if (waits !== true) continue;
      queue.turns.add(account);
      break;
    }
    if (accounts.size === 0) queue.parked.delete(place);
  }

  function park(queue: Queue, place: string | number, account: number): void {
    const accounts = queue.parked.get(place);
    if (accounts === undefined) queue.parked.set(place, new Set([account]));
    else accounts.add(account);
  }

  /** Takes an account's first waiter whose origin has room; parks the account where there is none. */
  function next(queue: Queue, account: number): Waiter | undefined {
    const waiters = queue.waiters.get(account) ?? [];
    if (!accountHasRoom(account)) {
      park(queue, account, account);
      // It may have been its turn because an origin has room: that is another's, then.
      for (const { request } of waiters) if (originHasRoom(request.origin)) unpark(queue, request.origin);
      return undefined;
    }
    const at = waiters.findIndex(({ request }) => originHasRoom(request.origin));
    if (at !== -1) return waiters.splice(at, 1)[0];
    for (const { request } of waiters) park(queue, request.origin, account);
    return undefined;
  }

  function serve(pace: Pace): void {
    const queue = queues[pace];
    for (const account of queue.turns) {
      if (!hasRoomFor(pace)) return;
      queue.turns.delete(account);
      const waiter = next(queue, account);
      if (waiter === undefined) continue;
      waiting -= 1;
      if (queue.waiters.get(account)?.length === 0) queue.waiters.delete(account);
      else queue.turns.add(account); // to the end of the line
      waiter.grant(grant(waiter.request));
    }
  }

  function take(request: PermitRequest): Permit | undefined {
    const { account, origin, pace } = request;
    if (queues[pace].turns.size > 0 || !hasRoomFor(pace) || !originHasRoom(origin) || !accountHasRoom(account)) return undefined;
    return grant(request);
  }

  return {
    get inFlight() {
      return inFlight;
    },
    get waiting() {
      return waiting;
    },
    take,
    wait(request, onGrant) {
      const queue = queues[request.pace];
      const { account } = request;
      const waiter: Waiter = { request, grant: onGrant };
      const waiters = queue.waiters.get(account);
      if (waiters === undefined) queue.waiters.set(account, [waiter]);
      else waiters.push(waiter);
      waiting += 1;
      queue.turns.add(account);
      serve(request.pace);
      return {
        withdraw() {
          const all = queue.waiters.get(account) ?? [];
          const at = all.indexOf(waiter);
          if (at === -1) return;
          all.splice(at, 1);
          waiting -= 1;
          if (all.length > 0) return;
          queue.waiters.delete(account);
          queue.turns.delete(account);
        },
      };
    },
  };
}

function change<Key>(counts: Map<Key, number>, key: Key, by: 1 | -1): void {
  const now = (counts.get(key) ?? 0) + by;
  if (now === 0) counts.delete(key);
  else counts.set(key, now);
}
