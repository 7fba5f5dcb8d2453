import type { Event, EventPage } from "@messenger/contracts";
import type { Subscription } from "@messenger/broker";
import { type Clock, createBatcher, type InboxEvent, type LiveSignal } from "@messenger/core";
import { newToken, tokenHash } from "@messenger/runtime";
import { createTicket, findInbox, type Inbox, readEvents } from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { createUnderwayCounts } from "./attempt-counts.ts";
import { contentOf, unsealJson } from "./contents.ts";
import type { Attendance, Signals } from "./signals.ts";

/** What a stream sends. */
export type StreamItem =
  | { kind: "event"; event: Event }
  /** The requested start is beyond the log: the stream goes on after this seq. */
  | { kind: "resync"; seq: number }
  /** What passes; it has no place in the log. */
  | { kind: "signal"; signal: LiveSignal }
  | { kind: "heartbeat" };

export interface Events {
  /** Events after a seq, up to `limit`. @throws {Refused} no_such_event */
  pull(by: Identity, after: number, limit: number): Promise<EventPage>;
  /**
   * What happens after a seq, or from now on, until the session ends, `signal` says so, or the listener
   * stops. Reads on as fast as it is asked to.
   * @throws {Refused} too_many_streams
   */
  follow(by: Identity, after: number | undefined, signal: AbortSignal): Promise<AsyncGenerator<StreamItem, void>>;
  /** A ticket opens one stream, within so many seconds. */
  createTicket(by: Identity): Promise<{ ticket: string; seconds: number }>;
}

const READ_BYTES = 64 * 1024;
const READ_AT_ONCE = 100;
/** Inboxes whose logs are read by one statement. */
const READS = 20;
/** A notice may be lost: the log is looked at as often, too. */
const HEARTBEAT_MS = 15_000;
/** That wait for a client to read on. */
const MAX_SIGNALS = 50;
const TICKET_SECONDS = 30;
const STREAMS_OF_A_USER = 20;

/** Reading the log of an inbox: once, or as it grows. */
export function createEvents(context: Context, signals: Signals): Events {
  const { db, clock, keyring, random, settings } = context;
  const streams = createUnderwayCounts();
  let open = 0;

  const reads = createBatcher<{ inbox: number; after: number; limit: number }, readonly InboxEvent[]>({
    clock,
    maxBatch: READS,
    maxRunning: 2,
    run: (wanted) => readEvents(db, wanted, READ_BYTES),
  });

  function describe(event: InboxEvent): Event {
    const { seq, id, kind, createdAt, conversation, messageId, content, data } = event;
    const message =
      messageId === null || content.length === 0
        ? undefined
        : { ...contentOf(keyring, messageId, content), version: event.messageVersion ?? 1 };
    const more = data == null ? undefined : (unsealJson(keyring, id, data) as Partial<Event>);
    return {
      seq,
      id,
      type: kind,
      timestamp: createdAt,
      conversation_id: conversation,
      message_id: messageId,
      ...message,
      ...more,
    };
  }

  async function inboxOf({ userId }: Identity): Promise<Inbox> {
    const inbox = await findInbox(db, userId);
    if (inbox === null) throw new Refused("unauthorized", "the account was deleted");
    return inbox;
  }

  function enter(userId: number): () => void {
    const user = String(userId);
    if (streams.of(user) >= STREAMS_OF_A_USER) {
      throw new Refused("too_many_streams", `a user has at most ${STREAMS_OF_A_USER} open streams at a listener`);
    }
    if (open >= settings.maxStreams) throw new Refused("too_many_streams", "this listener has no room for another stream");
    open += 1;
    streams.begin(user);
    return () => {
      open -= 1;
      streams.end(user);
    };
  }

  return {
    async createTicket({ sessionId }) {
      const ticket = newToken(random);
      await createTicket(db, { hash: tokenHash(ticket), sessionId, seconds: TICKET_SECONDS });
      return { ticket, seconds: TICKET_SECONDS };
    },
    async pull(by, after, limit) {
      const inbox = await inboxOf(by);
      if (after > inbox.head)
        throw new Refused(
          "no_such_event",
          `after is beyond your last event, ${inbox.head}: read the conversations anew, and go on from their seq`,
        );
      const read = await reads.add({ inbox: inbox.id, after, limit });
      const next = read.at(-1)?.seq ?? after;
      return { events: read.map(describe), next_after: next, has_more: next < inbox.head };
    },

    async follow(by, after, signal) {
      const leave = enter(by.userId);
      const over = new AbortController();
      const notices = createNotices();
      const ends = [signal, context.closing];
      let subscription: Subscription | undefined;
      let attendance: Attendance | undefined;

      /** Called by whatever ends it first, even before its first item was read. */
      function end(): void {
        if (over.signal.aborted) return;
        over.abort();
        notices.wakeUp();
        leave();
        attendance?.leave();
        session.close();
        for (const one of ends) one.removeEventListener("abort", end);
        void subscription?.close();
      }

      const session = context.revocations.watch(by.sessionId, () => queueMicrotask(end));
      for (const one of ends) one.addEventListener("abort", end);
      if (ends.some(({ aborted }) => aborted)) end();
      try {
        const { id } = await inboxOf(by);
        subscription = await context.subscribe(id, (notice) => {
          if (notice.signal?.kind === "presence") attendance?.answer(notice.signal);
          notices.add(notice);
        });
        if (over.signal.aborted) await subscription.close();
        // Read once it is subscribed to: what comes after this is heard of.
        const { head } = await inboxOf(by);
        notices.add({ seq: head });
        if (!over.signal.aborted) attendance = signals.attend(by, id);
        return items({ inbox: id, after: after ?? head, head, notices, over: over.signal, end });
      } catch (error) {
        end();
        throw error;
      }
    },
  };

  async function* items(stream: Stream): AsyncGenerator<StreamItem, void> {
    const { inbox, notices, over } = stream;
    let at = Math.min(stream.after, stream.head);
    try {
      if (at < stream.after) yield { kind: "resync", seq: at };
      else yield { kind: "heartbeat" };
      while (!over.aborted) {
        for (const signal of notices.signals.splice(0)) yield { kind: "signal", signal };
        if (at < notices.head) {
          const { count } = notices;
          const read = await reads.add({ inbox, after: at, limit: READ_AT_ONCE });
          for (const event of read) {
            at = event.seq;
            yield { kind: "event", event: describe(event) };
            if (over.aborted) return;
          }
          if (read.length === 0 && notices.count === count) notices.head = at; // there is nothing, whatever was said
        } else if (notices.signals.length === 0 && !(await notices.wait(clock, HEARTBEAT_MS))) {
          yield { kind: "heartbeat" };
          notices.add({ seq: at + 1 });
        }
      }
    } finally {
      stream.end();
    }
  }
}

interface Stream {
  inbox: number;
  after: number;
  /** The inbox's last event when the stream began. */
  head: number;
  notices: Notices;
  over: AbortSignal;
  end(): void;
}

/** What a stream has heard of its inbox. */
interface Notices {
  /** There may be events up to here. */
  head: number;
  /** How many have come. */
  count: number;
  /** What has passed since they were looked at; of too many, the latest. */
  signals: LiveSignal[];
  add(notice: { seq: number; signal?: LiveSignal }): void;
  wakeUp(): void;
  /** Waits for the next notice; returns false where none came in time. */
  wait(clock: Clock, ms: number): Promise<boolean>;
}

function createNotices(): Notices {
  let next = Promise.withResolvers<boolean>();
  return {
    head: 0,
    count: 0,
    signals: [],
    add({ seq, signal }) {
      this.head = Math.max(this.head, seq);
      this.count += 1;
      if (signal !== undefined) {
        this.signals.push(signal);
        if (this.signals.length > MAX_SIGNALS) this.signals.shift();
      }
      next.resolve(true);
    },
    wakeUp: () => next.resolve(true),
    async wait(clock, ms) {
      const timer = clock.after(ms, () => next.resolve(false));
      const heard = await next.promise;
      timer.cancel();
      next = Promise.withResolvers<boolean>();
      return heard;
    },
  };
}
