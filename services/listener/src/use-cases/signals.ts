import type { LiveSignal } from "@messenger/core";
import { listPresenceAudience, listTypingAudience } from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { createAttemptCounts } from "./attempt-counts.ts";

/** Somebody who follows by a stream, as others see it. */
export interface Attendance {
  /** Answers the presence of somebody else, so that who comes later is seen by who came before. */
  answer(signal: LiveSignal): void;
  leave(): void;
}

export interface Signals {
  /** @throws {Refused} no_such_conversation */
  type(by: Identity, conversation: number): Promise<void>;
  /** Tells others that somebody is there, for as long as they are. */
  attend(by: Identity, inbox: number): Attendance;
}

const TYPING_EVERY_MS = 3_000;
const ARRIVAL_EVERY_MS = 5_000;
/** Presence is over after 60 s. */
const PRESENCE_EVERY_MS = 45_000;
/** Others whose presence one stream answers. */
const MAX_PEERS = 100;

/** What passes: it is told to whoever follows, and kept nowhere. */
export function createSignals({ db, clock, notify, log }: Context): Signals {
  const typed = createAttemptCounts(clock, TYPING_EVERY_MS);
  const arrived = createAttemptCounts(clock, ARRIVAL_EVERY_MS);

  function tell(inboxes: Iterable<number>, signal: LiveSignal): void {
    notify([...inboxes].map((inbox) => ({ inbox, seq: 0, signal })));
  }

  return {
    async type({ userId }, conversation) {
      const key = `${userId}/${conversation}`;
      if (typed.of(key) > 0) return;
      const inboxes = await listTypingAudience(db, userId, conversation);
      if (inboxes === null) throw new Refused("no_such_conversation", "there is no such conversation");
      typed.add(key);
      tell(inboxes, { kind: "typing", userId, conversation, from: null });
    },
    attend({ userId }, inbox) {
      const presence: LiveSignal = { kind: "presence", userId, conversation: null, from: inbox };
      /** Those who are there themselves, by their inboxes: when each was heard of last. */
      const peers = new Map<number, number>();
      /** Whom one lets know. */
      let audience: ReadonlySet<number> = new Set();

      async function arrive(): Promise<void> {
        audience = new Set(await listPresenceAudience(db, userId));
        // Who connects again and again is announced once in a while.
        if (arrived.of(String(userId)) > 0) return;
        arrived.add(String(userId));
        tell(audience, presence);
      }

      function renew(): void {
        const before = clock.monotonic() - 2 * PRESENCE_EVERY_MS;
        for (const [peer, at] of peers) if (at < before) peers.delete(peer);
        tell(peers.keys(), presence);
        timer = clock.after(PRESENCE_EVERY_MS, renew);
      }

      let timer = clock.after(PRESENCE_EVERY_MS, renew);
      arrive().catch((error: unknown) => log.warn({ err: error, user: userId }, "nobody could be told that a user is there"));
      return {
        answer({ from }) {
          if (from === null || !audience.has(from)) return;
          const isNew = !peers.has(from);
          if (isNew && peers.size >= MAX_PEERS) return;
          peers.set(from, clock.monotonic());
          if (isNew) tell([from], presence);
        },
        leave: () => timer.cancel(),
      };
    },
  };
}
