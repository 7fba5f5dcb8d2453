import type { LiveNotice } from "@messenger/core";

/** Who in this process wants to hear of which inbox. */
export interface LiveTopics {
  /** Returns a function that takes the subscription back. `first` and `last` tell whether the inbox has others. */
  add(inbox: number, onNotice: (notice: LiveNotice) => void): { first: boolean; remove(): { last: boolean } };
  notify(notice: LiveNotice): void;
  inboxes(): number[];
}

export function createLiveTopics(): LiveTopics {
  const topics = new Map<number, Set<(notice: LiveNotice) => void>>();
  return {
    add(inbox, onNotice) {
      const found = topics.get(inbox);
      const listeners = found ?? new Set();
      // A function of its own, so that the same listener can be added twice.
      const listener = (notice: LiveNotice): void => onNotice(notice);
      listeners.add(listener);
      topics.set(inbox, listeners);
      return {
        first: found === undefined,
        remove() {
          listeners.delete(listener);
          if (listeners.size > 0 || topics.get(inbox) !== listeners) return { last: false };
          topics.delete(inbox);
          return { last: true };
        },
      };
    },
    notify(notice) {
      for (const listener of topics.get(notice.inbox) ?? []) listener(notice);
    },
    inboxes: () => [...topics.keys()],
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
