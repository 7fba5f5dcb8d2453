import type { LiveSignal } from "@messenger/core";
import { listPresenceAudience, listTypingAudience } from "@messenger/store";
import type { Context } from "../context.ts";
import { noSuchConversation } from "../refused.ts";
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
/** For so long it is not looked again whom a user lets know. */
const AUDIENCE_MS = 5_000;
/** Others whose presence one stream answers. */
const MAX_PEERS = 100;

/** Ephemeral signals (typing, presence): they go to open streams, and are stored nowhere. */
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
      typed.add(key); // at once: others may be on their way
      const inboxes = await listTypingAudience(db, userId, conversation);
      if (inboxes === null) throw noSuchConversation();
      tell(inboxes, { kind: "typing", userId, conversation, from: null });
    },
    attend({ userId }, inbox) {
      const presence: LiveSignal = { kind: "presence", userId, conversation: null, from: inbox };
      /** Those who are there themselves, by their inboxes: when each was heard of last. */
      const peers = new Map<number, number>();
      let audience: { inboxes: ReadonlySet<number>; readAt: number } | undefined;

      /** Whom the user lets know, as it was some seconds ago at most. */
      async function readAudience(): Promise<ReadonlySet<number>> {
        if (audience === undefined || audience.readAt + AUDIENCE_MS < clock.monotonic()) {
          audience = { inboxes: new Set(await listPresenceAudience(db, userId)), readAt: clock.monotonic() };
        }
        return audience.inboxes;
      }

      async function arrive(): Promise<void> {
        const inboxes = await readAudience();
        // Who connects again and again is announced once in a while.
        if (arrived.of(String(userId)) > 0) return;
        arrived.add(String(userId));
        tell(inboxes, presence);
      }

      async function renew(): Promise<void> {
        const before = clock.monotonic() - 2 * PRESENCE_EVERY_MS;
        for (const [peer, at] of peers) if (at < before) peers.delete(peer);
        const inboxes = await readAudience();
        tell(
          [...peers.keys()].filter((peer) => inboxes.has(peer)),
          presence,
        );
      }

      async function answer(from: number): Promise<void> {
        const isNew = !peers.has(from);
        if (isNew && peers.size >= MAX_PEERS) return;
        if (!(await readAudience()).has(from)) return;
        peers.set(from, clock.monotonic());
        if (isNew) tell([from], presence);
      }

      const attempt = (doing: Promise<void>): void =>
        void doing.catch((error: unknown) => log.warn({ err: error, user: userId }, "presence could not be told"));
      function onTime(): void {
        attempt(renew());
        timer = clock.after(PRESENCE_EVERY_MS, onTime);
      }

      let timer = clock.after(PRESENCE_EVERY_MS, onTime);
      attempt(arrive());
      return {
        answer({ from }) {
          if (from !== null) attempt(answer(from));
        },
        leave: () => timer.cancel(),
      };
    },
  };
}
