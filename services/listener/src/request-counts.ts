import type { Clock } from "@messenger/core";
import type { CountedRequests, Drawn } from "@messenger/store";
import { LRUCache } from "lru-cache";

/**
 * Counts requests over all listeners, without asking the database for each: a listener draws blocks of a limit, and lets
 * as many through by itself.
 */
export interface RequestCounts {
  /**
   * Counts a request. `current` is how many were counted in this window: more than `most` where this one is too many.
   * @throws what the database answers where it is away.
   */
  count(of: CountedRequests): Promise<{ current: number; ttl: number }>;
}

/** The share of a limit that one draw takes. */
const SHARE = 0.05;
const MAX_KEYS = 100_000;
/** Draws of one request before it is refused: other requests used up each block. */
const MAX_DRAWS = 50;

interface Block {
  left: number;
  used: number;
  endsAt: number;
}

export function createRequestCounts(deps: {
  draw(of: CountedRequests, block: number): Promise<Drawn>;
  clock: Clock;
}): RequestCounts {
  const { clock } = deps;
  const blocks = new LRUCache<string, Block>({ max: MAX_KEYS });
  const drawing = new Map<string, Promise<void>>();

  async function draw(of: CountedRequests): Promise<void> {
    const { granted, used, msLeft } = await deps.draw(of, Math.max(1, Math.floor(of.most * SHARE)));
    blocks.set(of.key, { left: granted, used, endsAt: clock.monotonic() + msLeft });
  }

  /** All that wait for a block of the same key wait for the same one. */
  function drawOnce(of: CountedRequests): Promise<void> {
    const underway = drawing.get(of.key);
    if (underway !== undefined) return underway;
    const begun = draw(of).finally(() => drawing.delete(of.key));
    drawing.set(of.key, begun);
    return begun;
  }

  return {
    async count(of) {
      for (let draws = 0; draws < MAX_DRAWS; draws += 1) {
        const block = blocks.get(of.key);
        const ttl = (block?.endsAt ?? 0) - clock.monotonic();
        if (block !== undefined && ttl > 0) {
          if (block.left > 0) {
            block.left -= 1;
            return { current: block.used - block.left, ttl };
          }
          if (block.used >= of.most) return { current: of.most + 1, ttl };
        }
        await drawOnce(of);
      }
      return { current: of.most + 1, ttl: of.windowMs };
    },
  };
}
