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
  /**
   * It has been in flight for long: from now on it counts among those that linger, and against neither its
   * pace nor the total. Returns false where there is no room among them. Slow and failing endpoints have a
   * share of their own, and stay in it.
   */
  linger(): boolean;
  release(): void;
}

/** A request that waits. */
export interface Waiting {
  /** Gives up waiting: `grant` is not called any more. */
  withdraw(): void;
  /**
   * Whether its turn is near: since it began to wait, or since this was last asked, at least half as many of
   * its pace had theirs as wait now. Where its origin is full, those count that wait for that origin, and
   * those that went on there; the first time, all since it filled up. Never behind others of its own account.
   */
  isAdvancing(): boolean;
}

export interface Permits {
  /** Takes a permit if nobody of that pace has to wait for one; undefined otherwise. */
  take(request: PermitRequest): Permit | undefined;
  /** Waits for a permit: `grant` is called once, at once or later, unless it is withdrawn. */
  wait(request: PermitRequest, grant: (permit: Permit) => void): Waiting;
  /** Without those that linger. */
  readonly inFlight: number;
  readonly lingering: number;
  readonly waiting: number;
}

/** Where accounts are parked. */
interface Place {
  accounts: Set<number>;
  /** How many have gone on from here. */
  left: number;
}

interface Waiter {
  request: PermitRequest;
  grant(permit: Permit): void;
}

/** The pushes of one pace, and who waits: accounts in the order of their turns. */
interface Queue {
  /** How many may be in flight, and how many are. */
  readonly share: number;
  inFlight: number;
  waiters: Map<number, Waiter[]>;
  /** Accounts that may have a waiter who can go. */
  turns: Set<number>;
  /**
   * Accounts that have to wait for an origin to have room, by that origin; or for themselves, by their own
   * number.
   */
  parked: Map<string | number, Place>;
  /** How many wait, and how many have had their turn so far. */
  waiting: number;
  served: number;
}

/** To one origin at most. */
const PER_ORIGIN = 32;

/** For each push that may be in flight, so many may linger beside it: they wait for a receiver, and cost little. */
const LINGERING = 2;

/**
 * Shares out the pushes in flight, `total` at most beside those that linger. Accounts take turns, so that one
 * with many endpoints does not hold up the others. Endpoints that are slow or failing have a quarter for each
 * kind, new ones the half, less what slow ones have: so none of them can use up what the others need, or
 * those that answer quickly. An account has an eighth at most (or 4), and an origin 32, with what lingers.
 *
 * Of 400 receivers that are new and slow, none is known to be slow before its first push has ended: without
 * the ones that linger, they would use up the half of the new ones for as long.
 */
export function createPermits(total: number): Permits {
  const quarter = Math.max(1, Math.floor(total / 4));
  const perAccount = Math.max(Math.min(total, 4), Math.floor(total / 8));
  const byOrigin = new Map<string, number>();
  const byAccount = new Map<number, number>();
  const quick = createQueue(total);
  const young = createQueue(2 * quarter);
  const slow = createQueue(quarter);
  const failing = createQueue(quarter);
  const queues: Record<Pace, Queue> = { quick, new: young, slow, failing };
  const inTurns = Object.values(queues);
  let inFlight = 0;
  let lingering = 0;
  let waiting = 0;
  let first = 0;

  function hasRoomFor(queue: Queue): boolean {
    if (inFlight >= total || queue.inFlight >= queue.share) return false;
    return queue === quick || queue === failing || young.inFlight + slow.inFlight < young.share;
  }

  const originHasRoom = (origin: string): boolean => (byOrigin.get(origin) ?? 0) < PER_ORIGIN;
  const accountHasRoom = (account: number): boolean => (byAccount.get(account) ?? 0) < perAccount;

  function grant({ account, origin, pace }: PermitRequest): Permit {
    const queue = queues[pace];
    let lingers = false;
    let released = false;
    inFlight += 1;
    queue.inFlight += 1;
    change(byOrigin, origin, 1);
    change(byAccount, account, 1);
    return {
      linger() {
        if (released || lingers || queue === slow || queue === failing) return true;
        if (lingering >= LINGERING * total) return false;
        lingers = true;
        lingering += 1;
        inFlight -= 1;
        queue.inFlight -= 1;
        serveAll();
        return true;
      },
      release() {
        if (released) return;
        released = true;
        if (lingers) lingering -= 1;
        else {
          inFlight -= 1;
          queue.inFlight -= 1;
        }
        change(byOrigin, origin, -1);
        change(byAccount, account, -1);
        for (const one of inTurns) {
          if (waiting === 0) one.parked.clear(); // who was there has withdrawn
          if (one.parked.size === 0) continue;
          unpark(one, origin);
          unpark(one, account);
        }
        if (waiting > 0) serveAll();
      },
    };
  }

  function serveAll(): void {
    // Each pace is the first to be served in its turn, so that none waits for ever at an origin that another one fills.
    first = (first + 1) % inTurns.length;
    for (let n = 0; n < inTurns.length; n += 1) serve(inTurns[(first + n) % inTurns.length] as Queue);
  }

  /** There is room for one: one account that waits for it may go. */
  function unpark(queue: Queue, at: string | number): void {
    const place = queue.parked.get(at);
    if (place === undefined) return;
    const { accounts } = place;
    for (const account of accounts) {
      accounts.delete(account);
      place.left += 1;
      // It may have gone on meanwhile, by room that was made elsewhere.
      const waits = queue.waiters.get(account)?.some(({ request }) => at === account || request.origin === at);
      if (waits !== true) continue;
      queue.turns.add(account);
      break;
    }
    if (accounts.size === 0) queue.parked.delete(at);
  }

  function park(queue: Queue, at: string | number, account: number): void {
    const place = queue.parked.get(at);
    if (place === undefined) queue.parked.set(at, { accounts: new Set([account]), left: 0 });
    else place.accounts.add(account);
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
    const [only] = waiters;
    if (only !== undefined && waiters.length === 1 && originHasRoom(only.request.origin)) return waiters.pop();
    const at = waiters.findIndex(({ request }) => originHasRoom(request.origin));
    if (at !== -1) return waiters.splice(at, 1)[0];
    for (const { request } of waiters) park(queue, request.origin, account);
    return undefined;
  }

  function serve(queue: Queue): void {
    if (queue.turns.size === 0 || !hasRoomFor(queue)) return;
    for (const account of queue.turns) {
      if (!hasRoomFor(queue)) return;
      queue.turns.delete(account);
      const waiter = next(queue, account);
      if (waiter === undefined) continue;
      waiting -= 1;
      queue.waiting -= 1;
      queue.served += 1;
      if (queue.waiters.get(account)?.length === 0) queue.waiters.delete(account);
      else queue.turns.add(account); // to the end of the line
      waiter.grant(grant(waiter.request));
    }
  }

  function take(request: PermitRequest): Permit | undefined {
    const { account, origin, pace } = request;
    const queue = queues[pace];
    if (queue.turns.size > 0 || !hasRoomFor(queue) || !originHasRoom(origin) || !accountHasRoom(account)) return undefined;
    return grant(request);
  }

  return {
    get inFlight() {
      return inFlight;
    },
    get lingering() {
      return lingering;
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
      let before: { place: Place | undefined; served: number } = { place: undefined, served: queue.served };
      waiting += 1;
      queue.waiting += 1;
      queue.turns.add(account);
      serve(queue);
      return {
        withdraw() {
          const all = queue.waiters.get(account) ?? [];
          const at = all.indexOf(waiter);
          if (at === -1) return;
          all.splice(at, 1);
          waiting -= 1;
          queue.waiting -= 1;
          if (all.length === 0) {
            queue.waiters.delete(account);
            queue.turns.delete(account);
          }
          // It may have been its turn because there is room at its origin, or for its account: that is another's, then.
          if (originHasRoom(request.origin)) unpark(queue, request.origin);
          if (accountHasRoom(account)) unpark(queue, account);
          serve(queue);
        },
        isAdvancing() {
          if (queue.waiters.get(account)?.[0] !== waiter) return false;
          const full = queue.parked.get(request.origin);
          const place = full?.accounts.has(account) === true ? full : undefined;
          if (place === undefined && !queue.turns.has(account)) return false;
          const { served, waiting: ahead } = place === undefined ? queue : { served: place.left, waiting: place.accounts.size };
          const since = served - (before.place === place ? before.served : place === undefined ? served : 0);
          before = { place, served };
          return 2 * since >= ahead;
        },
      };
    },
  };
}

function createQueue(share: number): Queue {
  return { share, inFlight: 0, waiters: new Map(), turns: new Set(), parked: new Map(), waiting: 0, served: 0 };
}

function change<Key>(counts: Map<Key, number>, key: Key, by: 1 | -1): void {
  const now = (counts.get(key) ?? 0) + by;
  if (now === 0) counts.delete(key);
  else counts.set(key, now);
}
