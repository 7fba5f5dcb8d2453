/** Leave to have one push in flight. */
export interface Permit {
  release(): void;
}

export interface Permits {
  /** Takes one where nobody has to wait for one: undefined where somebody has to. `failing` says that the endpoint's last push failed. */
  take(origin: string, failing: boolean): Permit | undefined;
  /** Waits for its turn. */
  acquire(origin: string, failing: boolean): Promise<Permit>;
  readonly inFlight: number;
}

export interface PermitLimits {
  /** Pushes in flight at most. */
  total: number;
  /** Of those, for endpoints whose last push failed. */
  failing: number;
  /** To one origin. */
  perOrigin: number;
}

interface Waiter {
  failing: boolean;
  grant(permit: Permit): void;
}

interface Origin {
  inFlight: number;
  /** Endpoints that are well do not wait behind those that fail. */
  waiting: Record<"well" | "failing", Waiter[]>;
}

/**
 * Shares out the pushes in flight: origins take turns, so that one with many endpoints does not hold up the others; and those that fail cannot
 * use up what those that are well need.
 */
export function createPermits(limits: PermitLimits): Permits {
  const origins = new Map<string, Origin>();
  // Origins that have somebody waiting, in the order of their turns.
  const turns = { well: new Set<string>(), failing: new Set<string>() };
  let inFlight = 0;
  let failingInFlight = 0;
  let failingFirst = false;

  function hasRoom(origin: Origin, failing: boolean): boolean {
    return inFlight < limits.total && origin.inFlight < limits.perOrigin && (!failing || failingInFlight < limits.failing);
  }

  function grant(name: string, origin: Origin, failing: boolean): Permit {
    inFlight += 1;
    origin.inFlight += 1;
    if (failing) failingInFlight += 1;
    let released = false;
    return {
      release() {
        if (released) return;
        released = true;
        inFlight -= 1;
        origin.inFlight -= 1;
        if (failing) failingInFlight -= 1;
        // In turns, so that neither waits for ever at an origin that the other one fills.
        failingFirst = !failingFirst;
        serve(failingFirst ? "failing" : "well");
        serve(failingFirst ? "well" : "failing");
        if (origin.inFlight === 0 && origin.waiting.well.length === 0 && origin.waiting.failing.length === 0) {
          origins.delete(name);
        }
      },
    };
  }

  function originOf(name: string): Origin {
    const origin = origins.get(name) ?? { inFlight: 0, waiting: { well: [], failing: [] } };
    origins.set(name, origin);
    return origin;
  }

  function take(name: string, failing: boolean): Permit | undefined {
    const origin = originOf(name);
    if (origin.waiting[failing ? "failing" : "well"].length > 0 || !hasRoom(origin, failing)) return undefined;
    return grant(name, origin, failing);
  }

  function serve(kind: "well" | "failing"): void {
    for (const name of turns[kind]) {
      if (inFlight >= limits.total || (kind === "failing" && failingInFlight >= limits.failing)) return;
      const origin = origins.get(name) as Origin;
      if (!hasRoom(origin, kind === "failing")) continue;
      const waiter = origin.waiting[kind].shift() as Waiter;
      turns[kind].delete(name);
      if (origin.waiting[kind].length > 0) turns[kind].add(name); // to the end of the line
      waiter.grant(grant(name, origin, waiter.failing));
    }
  }

  return {
    get inFlight() {
      return inFlight;
    },
    take,
    acquire(name, failing) {
      const permit = take(name, failing);
      if (permit !== undefined) return Promise.resolve(permit);
      const kind = failing ? "failing" : "well";
      return new Promise((resolve) => {
        originOf(name).waiting[kind].push({ failing, grant: resolve });
        turns[kind].add(name);
      });
    },
  };
}
