/** What a consumer holds of each partition, on one connection. */
export interface Holding {
  /**
   * Takes a bundle of `messages` (1 or more) messages. Returns what acknowledges one of them: once all are,
   * the bundle is settled, or kept for a while. A partition of which nothing was held may have been another
   * consumer's: `onMissed` is called first.
   */
  take(partition: number, messages: number, settle: () => void): () => void;
  /** How many bundles of a partition it holds, kept ones included. */
  held(partition: number): number;
  /** To be called every `SETTLE_KEPT_EVERY_MS`: settles what was kept before the last call, too. */
  tick(): void;
  /** Settles all that is kept, and keeps nothing from now on. */
  stopKeeping(): void;
}

interface Kept {
  settle: () => void;
  /** It was there at the last tick. */
  isOld: boolean;
}

/**
 * How long a consumer that is to hand a partition over may keep it, at most twice; long enough for a few
 * messages a second of each partition.
 */
export const SETTLE_KEPT_EVERY_MS = 250;

/**
 * Keeps the last bundle of each partition unacknowledged until another one comes, for up to half a second. A
 * broker takes no partition from a consumer that holds something of it; and whoever may have lost one must
 * read again what it knows of its inboxes, for each message where they come one by one.
 */
export function createHolding(partitions: number, onMissed: (partition: number) => void): Holding {
  const held = Array.from({ length: partitions }, () => 0);
  const kept: (Kept | undefined)[] = Array.from({ length: partitions }, () => undefined);
  let keeps = true;

  function settle(partition: number, bundle: () => void): void {
    held[partition] = (held[partition] as number) - 1;
    bundle();
  }

  function settleKept(partition: number): void {
    const before = kept[partition];
    kept[partition] = undefined;
    if (before !== undefined) settle(partition, before.settle);
  }

  return {
    held: (partition) => held[partition] ?? 0,
    take(partition, messages, bundle) {
      if (held[partition] === 0) onMissed(partition);
      held[partition] = (held[partition] as number) + 1;
      let left = messages;
      return () => {
        left -= 1;
        if (left !== 0) return;
        if (!keeps) {
          settle(partition, bundle);
          return;
        }
        settleKept(partition);
        kept[partition] = { settle: bundle, isOld: false };
      };
    },
    tick() {
      for (const [partition, bundle] of kept.entries()) {
        if (bundle?.isOld === true) settleKept(partition);
        else if (bundle !== undefined) bundle.isOld = true;
      }
    },
    stopKeeping() {
      keeps = false;
      for (const partition of kept.keys()) settleKept(partition);
    },
  };
}
