import { v7 } from "uuid";
import type { Clock, Random } from "./clock.ts";

export interface Ids {
  /** A new uuid v7 (RFC 9562): sorts by the millisecond it was made in. */
  next(): string;
}

export function createIds(deps: { clock: Clock; random: Random }): Ids {
  return {
    next: () => v7({ msecs: deps.clock.now(), random: deps.random.bytes(16) }),
  };
}
