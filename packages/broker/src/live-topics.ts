import type { LiveNotice } from "@messenger/core";

/** Who in this process wants to hear of which inbox. */
export interface LiveTopics {
  add(inbox: number, onNotice: (notice: LiveNotice) => void): { remove(): void };
  notify(notice: LiveNotice): void;
  /** How many subscriptions there are. */
  readonly size: number;
}

export function createLiveTopics(): LiveTopics {
  const topics = new Map<number, Set<(notice: LiveNotice) => void>>();
  let size = 0;
  return {
    add(inbox, onNotice) {
      const listeners = topics.get(inbox) ?? new Set();
      // A function of its own, so that the same listener can be added twice.
      const listener = (notice: LiveNotice): void => onNotice(notice);
      listeners.add(listener);
      topics.set(inbox, listeners);
      size += 1;
      return {
        remove() {
          if (!listeners.delete(listener)) return;
          size -= 1;
          if (listeners.size === 0) topics.delete(inbox);
        },
      };
    },
    notify(notice) {
      for (const listener of topics.get(notice.inbox) ?? []) listener(notice);
    },
    get size() {
      return size;
    },
  };
}

/** The highest seq of each inbox among these messages: one notice for each inbox. */
export function noticesOf(messages: readonly { type: string; inbox: number; seq?: number }[]): LiveNotice[] {
  const heads = new Map<number, number>();
  for (const { inbox, seq } of messages) {
    if (seq !== undefined) heads.set(inbox, Math.max(seq, heads.get(inbox) ?? 0));
  }
  return [...heads].map(([inbox, seq]) => ({ inbox, seq }));
}
