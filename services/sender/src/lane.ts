import type { PushResult } from "@messenger/channels";
import {
  type Clock,
  isErased,
  incarnationOf,
  type InboxEvent,
  isCompleteInBroker,
  type Random,
  type TimeLimit,
  type Timer,
} from "@messenger/core";
import type { AskedLetter, Attempt, ClearAnswer, EndpointRow, LeaseAnswer, Progress, ProgressAnswer } from "@messenger/store";
import type { Held } from "./held.ts";
import { type Action, type LaneState, ON_EVENT, ON_WAKE, type Place } from "./lane-states.ts";
import { judge, type Judgement, type Standing } from "./outcome.ts";
import type { Pace, Permit, PermitRequest, Permits, Waiting } from "./permits.ts";
import { errorText, type News, progressOf, standingOf } from "./progress.ts";

/** Where the event that is pushed came from. */
export type Source = "line" | "log";

/**
 * What a lane needs of the rest of the sender. The store's parts try until they succeed; they reject only
 * when the sender stops.
 */
export interface LaneDeps {
  clock: Clock;
  random: Random;
  permits: Permits;
  /**
   * Call `onLongWait` of a lane that waits for too long: for leave to push, or for the answer to a push from
   * its line.
   */
  longWaits: Readonly<Record<Source, TimeLimit<Lane>>>;
  /**
   * Calls `onLinger` of a lane whose push has been in flight for a while, and again for as long as the lane
   * asks for it.
   */
  lingers: TimeLimit<Lane>;
  push(endpoint: EndpointRow, event: InboxEvent): Promise<PushResult>;
  /** Whom an address shares the limits of an origin with. */
  laneKeyOf(address: string): string;
  report(progress: Progress): Promise<ProgressAnswer | null>;
  /** Has what was reported written at once. */
  hurry(): void;
  takeLease(endpoint: number): Promise<LeaseAnswer | null>;
  /**
   * (8) Makes the lease the sender's while a push of it is in flight, whatever the endpoint's generation.
   * Resolves with whether it is.
   */
  holdLease(endpoint: number): Promise<boolean>;
  /** Gives the lease back, whatever the generation: the endpoint is due at once. */
  endLease(endpoint: number): Promise<void>;
  clearLevel(endpoint: number): Promise<ClearAnswer>;
  /** Up to `limit` events after `after`, in order; none when there are no more. */
  readEvents(inbox: number, after: number, limit: number): Promise<readonly InboxEvent[]>;
  /** Dead letters of the endpoint that are to be pushed again, the first of them. */
  readAsked(endpoint: number): Promise<readonly AskedLetter[]>;
  /** The beginning of a failed answer, as it is kept with the attempt; null where it is not. */
  sealAnswer(endpoint: EndpointRow, event: InboxEvent, result: PushResult): Uint8Array | null;
  /** Told how many bytes of what was read from the log came into memory, or (negative) left it. */
  onReadAhead(bytes: number): void;
  /** Whether the broker was heard of lately. */
  brokerHeard(): boolean;
  /** The inbox's partition is about to go to another sender. */
  isYielding(inbox: number): boolean;
  /** The sender holds half of what it may of the inbox's partition, or more. */
  isCrowded(inbox: number): boolean;
  /** It may have gone to another sender. */
  isGivenUp(inbox: number): boolean;
  /** No push begins any more. */
  isStopping(): boolean;
  /** Told of each attempt. */
  onAttempt(endpoint: EndpointRow, event: InboxEvent, attempt: Attempt): void;
  /** Told that an endpoint is disabled within a day, if it takes nothing until then. */
  onFailing(endpoint: EndpointRow, disabledAt: number): void;
  /** Told that an endpoint was switched off. */
  onOff(endpoint: EndpointRow, reason: string): void;
  /** Told of what must not happen. */
  onFault(error: unknown): void;
}

/** What its mailbox does for a lane. */
export interface LaneHost {
  /** Reads the inbox's endpoints anew, and has the lane `adopt` or `retire`; resolves after that. */
  reload(): Promise<void>;
}

interface Wanted {
  waiting: Waiting | undefined;
  /** Without one: it is no longer wanted. */
  settle(permit: Permit | undefined): void;
}

/** What became of a push. */
interface Pushed {
  event: InboxEvent;
  result: PushResult;
  ms: number;
}

interface Entry {
  held: Held;
  /** Undefined for a wake. */
  event: InboxEvent | undefined;
}

/** Events that wait in a lane, beside the one in flight; more are read from the log. */
const MAX_IN_LINE = 8;
/**
 * Events read from the log at once: one at first, twice as many each time, as long as they can be pushed
 * without waiting for a permit.
 */
const READ_AT_ONCE = 100;
/** An endpoint that takes longer to answer is slow. */
const QUICK_MS = 1_000;
/** When an endpoint is looked at again whose lane had to make room in memory. */
const EVICTED_FOR_MS = 5_000;
/** How often it is looked whether a lane has the lease that it asked for. */
const SECURE_EVERY_MS = 20;
/** No push starts with settings that are older. */
const SETTINGS_MAX_AGE_MS = 30_000;
export const LEASE_RENEW_AFTER_MS = 10_000;
/** No push starts with an older lease: what is left of it is 5 s more than the endpoint's time limit. */
const LEASE_MAX_AGE_MS = 15_000;
/** In a crowded partition, a lane keeps its messages for so long while it waits for an answer. */
const CROWDED_WAIT_MS = 200;
/** Of an endpoint that takes all kinds, those that come later, too. */
const EVERY_KIND = "*";
/** One for all lanes that do nothing: there are many. */
const NOTHING = Promise.resolve();

const bytesOf = ({ content, data }: InboxEvent): number => content.length + (data?.length ?? 0);

/**
 * The deliveries to one endpoint: one push in flight, in the order of the log. A class, and not a factory of
 * closures as elsewhere, because a sender keeps a hundred thousand of them in memory.
 *
 * The rules that make it safe are in docs/architecture.md, under "Pushing"; numbers in comments refer to
 * them.
 */
export class Lane {
  state: LaneState;
  readonly #deps: LaneDeps;
  readonly #host: LaneHost;
  #endpoint: EndpointRow;
  #origin = "";
  /** When the settings were read, or last found unchanged: before the statement, by the monotonic clock. */
  #settingsAt = 0;
  /** The highest seq that was taken. */
  #cursor: number;
  /** The highest seq that the database has as taken. */
  #committed: number;
  /** The highest seq that is taken, in flight or in line. */
  #lineEnd: number;
  #standing: Standing;
  #line: InboxEvent[] = [];
  #entries: Entry[] = [];
  /** Raised when what is under way no longer counts: another generation, a reload after a lost one, the end. */
  #epoch = 0;
  #run: Promise<unknown> = NOTHING;
  /** How many runs are under way, or wait for the one before. */
  #runs = 0;
  /**
   * Raised when the broker's connection is lost before an event of the line was pushed: that one is no longer
   * this lane's to push.
   */
  #turn = 0;
  /** How often the broker's connection was lost. */
  #disconnects = 0;
  #inFlight: { seq: number; epoch: number; permits: readonly Permit[]; since: number } | undefined;
  /** When the endpoint's rate allows the next push to begin, by the monotonic clock. */
  #nextAt = 0;
  /** It waits long for leave to push, or for an answer: what it holds is covered otherwise. */
  #stalled = false;
  /** How the endpoint answered last; a failure is in the standing. */
  #pace: Exclude<Pace, "failing"> = "new";
  /** A permit that it waits for. */
  #wanted: Wanted | undefined;
  /** The endpoint's lease is the sender's, as far as the lane knows. */
  #leased = false;
  /** (8) A statement under way that may give the lease back: none that takes it may overtake it. */
  #pendingEnd: Promise<unknown> = NOTHING;
  /** No dead letter is to be pushed again any more, of those that the settings told of. */
  #replayed = false;
  /** (8) The lease was asked for over a push from the line: what comes next is read from the log. */
  #readOnNext = false;
  #pendingHold: Promise<unknown> = NOTHING;
  #lastReport: Promise<unknown> = NOTHING;
  /** Reports that are not written yet. */
  #unwritten = 0;
  #leaseAskedAt = 0;
  #coverPlanned = false;
  #lost = false;

  constructor(deps: LaneDeps, host: LaneHost, row: EndpointRow, readAt: number) {
    this.#deps = deps;
    this.#host = host;
    this.#endpoint = row;
    this.#cursor = row.cursor;
    this.#committed = row.cursor;
    this.#lineEnd = row.cursor;
    this.#standing = standingOf(row);
    this.#useSettings(row, readAt);
    // (7) Somebody may be at work on an endpoint that has a due time.
    this.state = row.due ? "waiting" : "idle";
  }

  get endpointId(): number {
    return this.#endpoint.id;
  }

  /** A push may be in flight, even if what comes of it no longer counts. */
  get busy(): boolean {
    return this.#runs > 0;
  }

  /**
   * Nothing is under way, no broker message is held, and all is written that it reported: it can be
   * forgotten, and loaded again. (A retry that was planned, and written after another lane had taken the
   * lease, would end that.)
   */
  get forgettable(): boolean {
    const isAtRest = !this.busy && this.#pendingHold === NOTHING && this.#pendingEnd === NOTHING && this.#unwritten === 0;
    return isAtRest && this.#entries.length === 0 && this.#cursor <= this.#committed;
  }

  /** It only waits for a permit, so that it can make room: what it holds becomes due in some seconds. */
  get evictable(): boolean {
    return this.#wanted !== undefined && this.#inFlight === undefined;
  }

  /** Gives up waiting for a permit, and has the endpoint looked at again in some seconds. */
  evict(): void {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    this.#pause();
    void this.#report({ retryInMs: EVICTED_FOR_MS * (0.5 + this.#deps.random.unit()) }, this.#entries);
    wanted.settle(undefined);
  }

  offer(held: Held, event: InboxEvent): void {
    if (this.#isOfAnotherIncarnation(event)) {
      // Its number may be that of another event by now: it only says that there may be something to read.
      this.wake(held, false);
      return;
    }
    const action = ON_EVENT[this.state][this.#placeOf(event.seq)];
    const mustRead = action === "push" && (this.#line.length >= MAX_IN_LINE || this.#isIncomplete(event));
    this.#act(mustRead ? "fall behind" : action, { held, event });
  }

  #isOfAnotherIncarnation(event: InboxEvent): boolean {
    return incarnationOf(event.version) !== incarnationOf(this.#endpoint.generation);
  }

  /**
   * Takes a wake. `level` says that the row read after it came shows the endpoint level with its inbox, and
   * without a due time.
   */
  wake(held: Held, level: boolean): void {
    const nothingToDo = level && this.state === "idle" && this.#cursor === this.#committed;
    this.#act(nothingToDo ? "release" : ON_WAKE[this.state], { held, event: undefined });
  }

  /** Takes over what a reload read. Of another generation, it begins anew: what is under way no longer counts. */
  adopt(row: EndpointRow, readAt: number): void {
    if (row.generation === this.#endpoint.generation && !this.#lost && this.state !== "off") {
      this.#committed = Math.max(this.#committed, row.cursor);
      this.#useSettings(row, readAt);
      if (this.state === "idle") {
        this.#advance(this.#committed);
        if (row.due) this.state = "waiting";
      }
      this.#afterHold(() => this.#releaseWhere((entry) => entry.held.seq <= this.#committed));
      return;
    }
    this.#epoch += 1;
    this.#lost = false;
    this.#beginAt(row);
    this.#useSettings(row, readAt);
    this.state = row.due ? "waiting" : "idle";
    this.#settleEntries(() => this.#offerAgain());
  }

  /** The endpoint is off, or gone. */
  retire(): void {
    this.#epoch += 1;
    this.state = "off";
    this.#line = [];
    this.#cursor = this.#committed; // what was taken and not written counts no more
    this.#lineEnd = this.#committed;
    this.#settleEntries(() => this.#releaseWhere(() => true));
  }

  /** The broker's connection was lost: what was held comes again, here or elsewhere. */
  disconnect(): void {
    this.#disconnects += 1;
    this.#entries = [];
    this.#line = [];
    this.#lineEnd = this.#cursor;
    if (this.#leased) {
      // (8) It may have been granted when another sender was pushing already: once what is in flight has ended, it is given back.
      this.#epoch += 1;
      this.#readOnNext = false;
      this.state = "waiting";
      this.#cursor = this.#committed; // what was taken and not written is read again, with the next lease
      this.#lineEnd = this.#committed;
      this.#wanted?.settle(undefined);
      if (!this.busy) void this.#endLease();
      return;
    }
    if (this.state !== "pushing") return;
    if (this.#inFlight?.epoch === this.#epoch) {
      this.#lineEnd = this.#inFlight.seq;
      return;
    }
    this.#turn += 1;
    this.state = "idle";
    this.#readOnNext = false;
    this.#wanted?.settle(undefined);
  }

  /**
   * (8) Resolves once no push is in flight but under the lease, and the lease is neither being asked for nor
   * given back: then the partition may go to another sender. No push must begin from the line meanwhile.
   * Without a broker message of it, the partition is somebody else's already.
   */
  async secure(): Promise<void> {
    while ((!this.#leased || this.#pendingEnd !== NOTHING) && this.#entries.length > 0) {
      if (this.#inFlight !== undefined || this.state === "pushing") {
        if (this.#pendingHold === NOTHING) void this.#hold();
        await Promise.race([this.#pendingHold, this.#run]);
      } else if (this.state !== "behind") return;
      await this.#sleep(SECURE_EVERY_MS);
    }
  }

  /** Starts no more pushes, lets the one in flight end, and gives the lease back. */
  async stop(): Promise<void> {
    this.#epoch += 1;
    this.#wanted?.settle(undefined);
    await this.#run; // it gives the lease back at its end
    if (this.#leased) await this.#endLease();
    await this.#lastReport;
    this.#entries = [];
  }

  // ------------------------------------------------------------------ what is held

  #placeOf(seq: number): Place {
    if (seq <= this.#committed) return "committed";
    if (seq <= this.#lineEnd) return "underway";
    return seq === this.#lineEnd + 1 ? "next" : "ahead";
  }

  #act(action: Action, entry: Entry): void {
    if (action === "release") {
      entry.held.release();
      return;
    }
    this.#entries.push(entry);
    if (this.#deps.isStopping()) return; // it goes back to the broker
    const isAtRest = this.state === "idle" || this.state === "waiting";
    if (isAtRest && this.#deps.isGivenUp(this.#endpoint.inbox)) {
      // (8) Too late for a lease: the sender that has the partition now may be pushing.
      this.state = "waiting";
      if (action !== "keep") this.#cover();
      return;
    }
    // (8) Whoever has the partition next must find the lease taken.
    const wanted = action === "push" && this.#deps.isYielding(this.#endpoint.inbox) ? "fall behind" : action;
    switch (wanted) {
      case "keep":
        return;
      case "push":
        this.#line.push(entry.event as InboxEvent);
        this.#lineEnd += 1;
        if (this.#stalled) this.#cover();
        if (this.state === "idle") {
          this.state = "pushing";
          this.#start((epoch) => this.#pushLine(epoch));
        }
        return;
      case "fall behind":
        this.#fallBehind();
        this.#cover();
        return;
      case "cover":
        this.#cover();
    }
  }

  /** Has the database make sure that the endpoint has a due time, and then releases all that is held now. */
  #cover(): void {
    if (this.#coverPlanned) return;
    this.#coverPlanned = true;
    queueMicrotask(() => {
      this.#coverPlanned = false;
      if (this.#entries.length === 0 || this.state === "off") return;
      // (8) While it asks for the lease, what it holds keeps the partition here; it is released by the answer.
      if (this.state === "behind" && !this.#leased && this.#inFlight === undefined) return;
      // One lease request at a time: the answer to another one could come after the push that it is for has ended.
      if (this.#pendingHold !== NOTHING) void this.#pendingHold.then(() => this.#cover());
      // (8) While a push is in flight, or may begin, nobody else may begin one.
      else if (this.#inFlight !== undefined || this.state === "pushing") void this.#hold();
      else void this.#report({ ensureDue: true }, this.#entries);
    });
  }

  /**
   * (8) Has what is held covered by the lease, over the push that is in flight or may begin; what comes after
   * that is read from the log.
   */
  #hold(): Promise<void> {
    return this.#ask(() => this.#holdNow());
  }

  #ask(run: () => Promise<unknown>): Promise<void> {
    const asking = run().then(() => {
      if (this.#pendingHold === asking) this.#pendingHold = NOTHING;
    });
    this.#pendingHold = asking;
    return asking;
  }

  /** Returns whether the lease is, or was, the sender's. */
  async #askForLease(): Promise<boolean> {
    const disconnects = this.#disconnects;
    await this.#pendingEnd;
    const held = await this.#deps.holdLease(this.#endpoint.id).catch(() => false); // the sender stops
    if (!held) return false;
    const isUsed = this.#inFlight !== undefined || this.state === "pushing" || this.state === "behind";
    // (8) A new one may be too late once the connection was lost: another sender may be pushing already.
    if (isUsed && (this.#leased || disconnects === this.#disconnects)) this.#leased = true;
    else await this.#endLease(); // or what it was for has ended meanwhile
    return true;
  }

  async #holdNow(): Promise<void> {
    const covered = [...this.#entries];
    const epoch = this.#epoch;
    if (this.state === "pushing") this.#readOnNext = true;
    const held = await this.#askForLease();
    if (epoch !== this.#epoch) return;
    // A lane of the line goes on waiting for its permit from the log, where it renews its lease meanwhile.
    if (this.#leased && this.state === "pushing" && this.#inFlight === undefined) this.#wanted?.settle(undefined);
    if (!held && (this.#inFlight !== undefined || this.state === "pushing")) {
      // Somebody else has the lease, or planned a retry: what is in flight stays covered by the broker until it has ended.
      this.#pause();
      this.#wanted?.settle(undefined);
      if (this.#inFlight !== undefined) return;
    }
    // Held or not, the endpoint has a due time.
    this.#releaseThese(covered);
  }

  async #endLease(): Promise<void> {
    this.#leased = false;
    await this.#giveBack(() => this.#deps.endLease(this.#endpoint.id)).catch(() => undefined); // the sender stops: it runs out
  }

  #giveBack<Result>(run: () => Promise<Result>): Promise<Result> {
    const answer = this.#pendingEnd.then(run);
    const ending: Promise<unknown> = answer
      .catch(() => undefined)
      .then(() => {
        if (this.#pendingEnd === ending) this.#pendingEnd = NOTHING;
      });
    this.#pendingEnd = ending;
    return answer;
  }

  /**
   * Does with what is held what another generation asks for: not before a push that is in flight is covered
   * by the lease (8).
   */
  #settleEntries(settle: () => void): void {
    const epoch = this.#epoch;
    if (this.#pendingHold !== NOTHING) {
      // The request under way may be for an earlier push.
      void this.#pendingHold.then(() => {
        if (epoch === this.#epoch) this.#settleEntries(settle);
      });
      return;
    }
    const isFree = this.#inFlight === undefined || this.#leased || this.#entries.length === 0;
    if (!isFree) void this.#ask(() => this.#askForLease());
    this.#afterHold(settle);
  }

  /**
   * (8) Releases broker messages, but not while a lease request is under way: until then they keep the
   * partition with this sender. The lease could otherwise be granted after another sender began to push.
   */
  #afterHold(release: () => void): void {
    if (this.#pendingHold === NOTHING) {
      release();
      return;
    }
    const epoch = this.#epoch;
    void this.#pendingHold.then(() => {
      if (epoch === this.#epoch) release();
    });
  }

  #releaseWhere(isFree: (entry: Entry) => boolean): void {
    const free: Entry[] = [];
    const kept: Entry[] = [];
    for (const entry of this.#entries) (isFree(entry) ? free : kept).push(entry);
    if (free.length === 0) return;
    this.#entries = kept;
    for (const entry of free) entry.held.release();
  }

  #releaseThese(entries: readonly Entry[]): void {
    const these = new Set(entries);
    this.#releaseWhere((entry) => these.has(entry));
  }

  /** Treats what is still held as if it had just come. */
  #offerAgain(): void {
    const entries = this.#entries;
    this.#entries = [];
    for (const { held, event } of entries) {
      if (event === undefined) this.wake(held, false);
      else this.offer(held, event);
    }
  }

  // ------------------------------------------------------------------ where it stands

  #useSettings(row: EndpointRow, readAt: number): void {
    this.#endpoint = row;
    this.#replayed = false;
    this.#origin = this.#deps.laneKeyOf(row.address);
    this.#settingsAt = readAt;
  }

  #beginAt(row: EndpointRow): void {
    this.#cursor = row.cursor;
    this.#committed = row.cursor;
    this.#lineEnd = row.cursor;
    this.#standing = standingOf(row);
    this.#line = [];
  }

  #advance(seq: number): void {
    this.#cursor = Math.max(this.#cursor, seq);
    this.#lineEnd = Math.max(this.#lineEnd, this.#cursor);
  }

  /**
   * Writes where the lane stands, with what is new; then releases what is committed, and all of `held` if
   * there is a due time.
   */
  #report(news: News, held: readonly Entry[]): Promise<ProgressAnswer | null> {
    const covered = [...held]; // what comes later is not covered by this
    const epoch = this.#epoch;
    const reportedAt = this.#deps.clock.monotonic();
    const answer = this.#deps.report(progressOf(this.#endpoint, this.#standing, this.#cursor, news));
    this.#unwritten += 1;
    const done = answer.then(
      (written) => {
        this.#unwritten -= 1;
        if (this.#unwritten === 0) this.#lastReport = NOTHING;
        if (epoch === this.#epoch) this.#onWritten(written, reportedAt, covered);
        return written;
      },
      () => null, // the sender stops
    );
    this.#lastReport = done;
    return done;
  }

  #onWritten(written: ProgressAnswer | null, reportedAt: number, covered: readonly Entry[]): void {
    if (written === null) {
      this.#lose();
      return;
    }
    if (!written.active) {
      this.retire();
      return;
    }
    // The generation is what it was, so the settings are.
    this.#settingsAt = Math.max(this.#settingsAt, reportedAt);
    // (1) Only what is committed, or has a due time that this very batch confirmed.
    this.#committed = Math.max(this.#committed, written.cursor);
    if (this.state === "idle") this.#advance(this.#committed);
    this.#afterHold(() => {
      this.#releaseWhere((entry) => entry.held.seq <= this.#committed);
      if (written.due) this.#releaseThese(covered);
    });
  }

  /** (4) Its generation is another one: nothing of it counts until the endpoint is read again. */
  #lose(): void {
    this.#epoch += 1;
    this.#lost = true;
    this.#line = [];
    this.state = "waiting";
    this.#host.reload().catch((error: unknown) => this.#deps.onFault(error));
  }

  // ------------------------------------------------------------------ pushing

  /** One thing at a time: what starts now begins when what runs has ended. */
  #start(run: (epoch: number) => Promise<void>): void {
    const epoch = this.#epoch;
    this.#runs += 1;
    this.#run = this.#runs === 1 ? this.#guard(run, epoch) : this.#run.then(() => this.#guard(run, epoch));
  }

  async #guard(run: (epoch: number) => Promise<void>, epoch: number): Promise<void> {
    try {
      if (epoch === this.#epoch) await run(epoch);
    } catch (error) {
      this.#deps.onFault(error);
    } finally {
      // What it took the lease for has ended; whatever waits to run, of another generation, goes on with it.
      if (this.#leased && epoch !== this.#epoch && this.#runs === 1) await this.#endLease();
      this.#runs -= 1;
      if (this.#runs === 0) this.#run = NOTHING;
      if (this.state === "waiting" && this.#entries.length > 0) this.#cover();
    }
  }

  /** Pushes what came from the broker, until the line is empty or the state another. */
  async #pushLine(epoch: number): Promise<void> {
    const turn = this.#turn;
    while (this.#isInLine(epoch, turn)) {
      if (this.#leased || (this.#readOnNext && this.#entries.length > 0)) {
        this.#fallBehind();
        return;
      }
      const event = this.#line.shift();
      if (event === undefined) {
        this.state = "idle";
        this.#readOnNext = false;
        this.#advance(this.#committed);
        return;
      }
      if (!this.#takes(event)) this.#passOver(event);
      else {
        const permit = this.#takePermit() ?? (await this.#permit("line"));
        const goesOn = permit !== undefined && (await this.#attempt(epoch, event, permit, () => this.#freshen(epoch, turn)));
        if (!goesOn && !(this.#leased && this.#isInLine(epoch, turn))) return;
      }
    }
  }

  #takes(event: InboxEvent): boolean {
    return this.#isWanted(event) && !isErased(event);
  }

  #isWanted({ kind }: InboxEvent): boolean {
    const { kinds } = this.#endpoint;
    return kinds.includes(kind) || kinds.includes(EVERY_KIND);
  }

  /** It came by the broker without what a push of it says: that is in the log. */
  #isIncomplete(event: InboxEvent): boolean {
    return !event.sealed && !isCompleteInBroker(event.kind) && this.#isWanted(event);
  }

  #passOver(event: InboxEvent): void {
    this.#advance(event.seq);
    void this.#report({}, []);
  }

  /**
   * (6, 7) Before each push from the line: the settings are fresh, the broker was heard of, and the event is
   * still this lane's to push.
   */
  #freshen(epoch: number, turn: number): boolean | Promise<boolean> {
    if (this.#leased) return false; // the lease may be old: the event is read from the log
    const fresh = this.#deps.clock.monotonic() - this.#settingsAt <= SETTINGS_MAX_AGE_MS;
    if (!fresh || !this.#deps.brokerHeard()) return this.#becomeFresh(epoch, turn);
    return this.#isInLine(epoch, turn);
  }

  /** What it waited for may have made it fall behind: then the event is read from the log, under a lease. */
  #isInLine(epoch: number, turn: number): boolean {
    return this.state === "pushing" && epoch === this.#epoch && turn === this.#turn;
  }

  async #becomeFresh(epoch: number, turn: number): Promise<boolean> {
    while (this.#isInLine(epoch, turn) && !this.#deps.brokerHeard()) await this.#sleep(250);
    if (this.#deps.clock.monotonic() - this.#settingsAt > SETTINGS_MAX_AGE_MS) await this.#host.reload();
    return this.#isInLine(epoch, turn) && !this.#leased;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#deps.clock.after(ms, resolve);
    });
  }

  /** Its push has been in flight for a while: it is the receiver that takes long. */
  onLinger(): void {
    if (this.#inFlight === undefined) return;
    const { permits, since } = this.#inFlight;
    const mayWait = this.#deps.clock.monotonic() - since < CROWDED_WAIT_MS;
    const linger = permits.filter((permit) => permit.linger()).length === permits.length;
    if (!linger || mayWait) this.#deps.lingers.begin(this); // to be asked again
    if (!mayWait && this.#deps.isCrowded(this.#endpoint.inbox)) this.onLongWait("line");
  }

  /**
   * It waits for too long. From the line: lets go of what it holds, so that it holds up nobody; from the log:
   * keeps its lease.
   */
  onLongWait(from: Source): void {
    if (from === "line") {
      if (this.state !== "pushing") return;
      // Where many have just come, as after a start, all of them wait, and nobody holds up anybody.
      if (this.#wanted?.waiting?.isAdvancing() === true) {
        this.#deps.longWaits.line.begin(this);
        return;
      }
      this.#stalled = true;
      this.#cover();
      return;
    }
    if (this.state !== "behind") return;
    void this.#renew(this.#epoch);
    this.#deps.longWaits.log.begin(this);
  }

  #request(): PermitRequest {
    return { account: this.#endpoint.inbox, origin: this.#origin, pace: this.#standing.failures > 0 ? "failing" : this.#pace };
  }

  /** Milliseconds until the endpoint's rate allows the next push. */
  #pauseMs(): number {
    return this.#endpoint.maxPerSecond === null ? 0 : this.#nextAt - this.#deps.clock.monotonic();
  }

  #takePermit(): Permit | undefined {
    return this.#pauseMs() > 0 ? undefined : this.#deps.permits.take(this.#request());
  }

  /** Waits for a permit, first until the endpoint's rate allows one; undefined where it is no longer wanted. */
  #permit(from: Source): Promise<Permit | undefined> {
    const { permits, longWaits, clock } = this.#deps;
    longWaits[from].begin(this);
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const wanted: Wanted = {
        waiting: undefined,
        settle: (permit) => {
          timer?.cancel();
          if (permit === undefined) wanted.waiting?.withdraw();
          this.#wanted = undefined;
          longWaits[from].end(this);
          this.#stalled = false;
          resolve(permit);
        },
      };
      this.#wanted = wanted;
      const ask = (): void => void (wanted.waiting = permits.wait(this.#request(), (permit) => wanted.settle(permit)));
      const pauseMs = this.#pauseMs();
      if (pauseMs > 0) timer = clock.after(pauseMs, ask);
      else ask();
    });
  }

  /**
   * Makes one attempt, once `ready` allows it, and releases the permit. Returns whether to go on with the
   * next event.
   */
  async #attempt(
    epoch: number,
    event: InboxEvent,
    permit: Permit,
    ready: () => boolean | Promise<boolean>,
    isReplay = false,
  ): Promise<boolean> {
    const endpoint = this.#endpoint;
    const begun = await this.#pushOnce(epoch, [event], [permit], ready);
    if (begun === undefined) return false;
    const { judgement, attempts } = this.#judge(endpoint, begun.at, begun.pushed[0] as Pushed, this.#standing);
    if (epoch !== this.#epoch) {
      await this.#reportOld(endpoint, judgement.standing, judgement.verdict.next === "advance" ? event.seq : 0, attempts);
      return false;
    }
    return this.#follow(judgement, event, attempts, isReplay);
  }

  /**
   * The same with several events of an endpoint that takes so many at once, those beside them passed over. It goes on
   * from the first that was not taken: what came after that is pushed again.
   */
  async #attemptTogether(epoch: number, events: readonly InboxEvent[], permits: readonly Permit[]): Promise<boolean> {
    const endpoint = this.#endpoint;
    const taken = events.filter((event) => this.#takes(event));
    const begun = await this.#pushOnce(epoch, taken, permits, () => this.#keepLease(epoch));
    if (begun === undefined) return false;
    const pushed = [...begun.pushed];
    let standing = this.#standing;
    for (const event of events) {
      const mine = pushed[0]?.event === event ? pushed.shift() : undefined;
      if (mine === undefined) {
        if (epoch === this.#epoch) this.#passOver(event);
        continue;
      }
      const { judgement, attempts } = this.#judge(endpoint, begun.at, mine, standing);
      standing = judgement.standing;
      const isLast = judgement.verdict.next === "retry" || judgement.verdict.next === "off";
      // What was made beside it stays on record.
      const beside = isLast ? pushed.splice(0).flatMap((one) => this.#judge(endpoint, begun.at, one, standing).attempts) : [];
      if (epoch !== this.#epoch) {
        // Only what comes before the first that was not taken counts: a dead letter is not written without its endpoint's lane.
        const isTaken = judgement.verdict.next === "advance";
        await this.#reportOld(endpoint, standing, isTaken ? event.seq : 0, [...attempts, ...beside]);
        if (!isTaken) return false;
      } else if (!this.#follow(judgement, event, [...attempts, ...beside], false)) return false;
    }
    return epoch === this.#epoch;
  }

  /** Pushes events at the same time, once `ready` allows it, and releases the permits. Undefined where it did not. */
  async #pushOnce(
    epoch: number,
    events: readonly InboxEvent[],
    permits: readonly Permit[],
    ready: () => boolean | Promise<boolean>,
  ): Promise<{ at: number; pushed: readonly Pushed[] } | undefined> {
    const { clock } = this.#deps;
    const endpoint = this.#endpoint;
    try {
      if (epoch !== this.#epoch) return undefined;
      const isReady = ready();
      if (!(typeof isReady === "boolean" ? isReady : await isReady) || epoch !== this.#epoch) return undefined;
      if (this.#deps.isStopping()) return undefined;
      const at = clock.now();
      const started = clock.monotonic();
      const { maxPerSecond } = endpoint;
      if (maxPerSecond !== null) this.#nextAt = Math.max(started, this.#nextAt) + (events.length * 1_000) / maxPerSecond;
      this.#inFlight = { seq: (events.at(-1) as InboxEvent).seq, epoch, permits, since: started };
      if (this.state === "pushing") this.#deps.longWaits.line.begin(this);
      this.#deps.lingers.begin(this);
      const push = async (event: InboxEvent, n: number): Promise<Pushed> => {
        const result = await this.#deps.push(endpoint, event);
        permits[n]?.release(); // one that hangs beside it keeps its own alone
        return { event, result, ms: clock.monotonic() - started };
      };
      const [only] = events as [InboxEvent];
      return { at, pushed: events.length === 1 ? [await push(only, 0)] : await Promise.all(events.map(push)) };
    } finally {
      this.#inFlight = undefined;
      this.#deps.longWaits.line.end(this);
      this.#deps.lingers.end(this);
      this.#stalled = false;
      for (const permit of permits) permit.release();
    }
  }

  /** What an attempt means, and what is kept of it. */
  #judge(
    endpoint: EndpointRow,
    at: number,
    { event, result, ms }: Pushed,
    before: Standing,
  ): { judgement: Judgement; attempts: Attempt[] } {
    this.#pace = ms <= QUICK_MS ? "quick" : "slow";
    const judgement = judge(result, before, { now: this.#deps.clock.now(), unit: this.#deps.random.unit() });
    const attempt: Attempt = {
      seq: event.seq,
      attempt: before.failures + 1,
      at,
      outcome: judgement.outcome,
      status: result.status ?? null,
      ms,
      error: errorText(result),
      answer: this.#deps.sealAnswer(endpoint, event, result),
    };
    if (judgement.disabledAt !== undefined) this.#deps.onFailing(endpoint, judgement.disabledAt);
    if (result.isAttempt === false) return { judgement, attempts: [] };
    this.#deps.onAttempt(endpoint, event, attempt);
    return { judgement, attempts: [attempt] };
  }

  /** (4) It counts for the generation that it was made under, if that is still the endpoint's. `reached` is the event that was taken, or 0. */
  async #reportOld(endpoint: EndpointRow, standing: Standing, reached: number, attempts: readonly Attempt[]): Promise<void> {
    const progress = progressOf(endpoint, standing, Math.max(endpoint.cursor, reached), { attempts });
    await this.#deps.report(progress).catch(() => null); // stopping
  }

  #follow({ verdict, standing }: Judgement, event: InboxEvent, attempts: readonly Attempt[], isReplay: boolean): boolean {
    this.#standing = standing;
    switch (verdict.next) {
      case "advance":
        this.#advance(event.seq);
        void this.#report(isReplay ? { attempts, replayed: [event.seq] } : { attempts }, []);
        return true;
      case "bury":
        this.#advance(event.seq);
        void this.#report({ attempts, deadLetters: [{ seq: event.seq, reason: verdict.reason }] }, []);
        return true;
      case "retry":
        this.#pause();
        void this.#report({ attempts, retryInMs: verdict.inMs }, this.#entries);
        return false;
      case "off":
        this.#pause();
        this.#deps.onOff(this.#endpoint, verdict.reason);
        void this.#report({ attempts, off: verdict.reason }, []);
        return false;
    }
  }

  /** What is reported with it ends the lease. */
  #pause(): void {
    this.state = "waiting";
    this.#leased = false;
    this.#readOnNext = false;
    this.#line = [];
    this.#lineEnd = this.#cursor;
  }

  // ------------------------------------------------------------------ reading on

  #fallBehind(): void {
    this.state = "behind";
    this.#line = [];
    const disconnects = this.#disconnects;
    this.#start((epoch) => this.#catchUp(epoch, disconnects));
  }

  /**
   * Takes the lease, and pushes from the log until level. `disconnects` is how often the connection was lost
   * when that was decided.
   */
  async #catchUp(epoch: number, disconnects: number): Promise<void> {
    if (this.state !== "behind") return; // the push that was in flight failed
    this.#readOnNext = false;
    this.#deps.hurry();
    await this.#lastReport;
    await this.#pendingHold;
    await this.#pendingEnd;
    if (epoch !== this.#epoch) return;
    // (8) Whoever has the partition now may push from the line: a lease that is taken after the connection was lost would be too late to stop that.
    if (!this.#leased && disconnects !== this.#disconnects) {
      this.state = "waiting";
      return;
    }
    const covered = [...this.#entries];
    const wasLeased = this.#leased;
    const askedAt = this.#deps.clock.monotonic();
    const lease = await this.#deps.takeLease(this.#endpoint.id);
    if (lease?.taken === true) this.#leased = true;
    if (epoch !== this.#epoch) return;
    if (lease === null) {
      this.#lose();
      return;
    }
    const { endpoint } = lease;
    const cursor = endpoint.generation === this.#endpoint.generation ? Math.max(this.#cursor, endpoint.cursor) : endpoint.cursor;
    this.#beginAt(endpoint);
    this.#advance(cursor);
    this.#useSettings(endpoint, askedAt);
    // (1, 2) Taken or not, the statement found or made a due time.
    this.#releaseThese(covered);
    if (this.#entries.length > 0) this.#cover(); // what came since
    if (!lease.taken || (!wasLeased && disconnects !== this.#disconnects)) {
      this.state = "waiting";
      if (lease.taken) await this.#endLease();
      return;
    }
    this.#leaseAskedAt = askedAt;
    await this.#readOn(epoch);
  }

  async #readOn(epoch: number): Promise<void> {
    let wasEmpty = false;
    let limit = 1;
    for (;;) {
      // Only who has a permit reads: so what is in memory is bounded by the number of permits.
      const permit = this.#takePermit() ?? (await this.#permit("log"));
      if (permit === undefined) return;
      const read = await this.#pushRead(epoch, permit, limit);
      if (read === "over") return;
      limit = read === "crowded" ? 1 : read === "end" ? 2 : Math.min(limit * 2, READ_AT_ONCE);
      // A short read is most likely the end of the log. Asking whether the endpoint is level costs less than another read, and the lane is back in the
      // line sooner.
      if ((read === "nothing" || read === "end") && !(await this.#hasMore(epoch, wasEmpty))) return;
      wasEmpty = read === "nothing";
    }
  }

  /** Reads up to `limit` events and pushes them, for as long as there are permits: the rest is read again. */
  async #pushRead(epoch: number, first: Permit, limit: number): Promise<"pushed" | "end" | "crowded" | "nothing" | "over"> {
    let permit: Permit | undefined = first;
    let bytes = 0;
    try {
      if (epoch !== this.#epoch) return "over";
      if (this.#endpoint.replaying && !this.#replayed) {
        const mine = permit;
        permit = undefined;
        return await this.#replay(epoch, mine);
      }
      const events = await this.#deps.readEvents(this.#endpoint.inbox, this.#cursor, limit);
      if (epoch !== this.#epoch) return "over";
      bytes = events.reduce((sum, event) => sum + bytesOf(event), 0);
      this.#deps.onReadAhead(bytes);
      if (events.some((event) => this.#isOfAnotherIncarnation(event))) {
        this.#lose(); // what it took is of a log that is no more
        return "over";
      }
      for (let at = 0; at < events.length;) {
        const event = events[at] as InboxEvent;
        if (!this.#takes(event)) {
          this.#passOver(event);
          at += 1;
          continue;
        }
        permit ??= this.#takePermit();
        if (permit === undefined) return "crowded";
        const mine = permit;
        permit = undefined;
        const more = this.#more(events, at);
        const goesOn =
          more.permits.length === 0
            ? this.#attempt(epoch, event, mine, () => this.#keepLease(epoch))
            : this.#attemptTogether(epoch, events.slice(at, more.end), [mine, ...more.permits]);
        if (!(await goesOn)) return "over";
        at = more.end;
      }
      if (events.length === 0) return "nothing";
      return events.length < limit ? "end" : "pushed";
    } finally {
      permit?.release();
      this.#deps.onReadAhead(-bytes);
    }
  }

  /**
   * Permits for the events after `at` that may be pushed together with it, and where these end. None while the endpoint
   * fails: what it does not take is tried alone.
   */
  #more(events: readonly InboxEvent[], at: number): { permits: Permit[]; end: number } {
    const { maxInFlight, maxPerSecond } = this.#endpoint;
    const most = this.#standing.failures > 0 ? 1 : Math.min(maxInFlight, maxPerSecond ?? maxInFlight);
    const permits: Permit[] = [];
    let end = at + 1;
    while (end < events.length && permits.length + 1 < most) {
      if (this.#takes(events[end] as InboxEvent)) {
        const permit = this.#takePermit();
        if (permit === undefined) break;
        permits.push(permit);
      }
      end += 1;
    }
    return { permits, end };
  }

  /** Pushes dead letters that are to be pushed again, under the lease, before the log is read on. */
  async #replay(epoch: number, first: Permit): Promise<"pushed" | "crowded" | "over"> {
    let permit: Permit | undefined = first;
    let bytes = 0;
    try {
      const letters = await this.#deps.readAsked(this.#endpoint.id);
      if (epoch !== this.#epoch) return "over";
      bytes = letters.reduce((sum, { event }) => sum + (event === undefined ? 0 : bytesOf(event)), 0);
      this.#deps.onReadAhead(bytes);
      if (letters.length === 0) {
        this.#replayed = true;
        void this.#report({ replayDone: true }, []);
      }
      for (const { seq, event } of letters) {
        if (event === undefined || !this.#takes(event)) {
          void this.#report({ replayed: [seq] }, []);
          continue;
        }
        permit ??= this.#takePermit();
        if (permit === undefined) break;
        const mine = permit;
        permit = undefined;
        if (!(await this.#attempt(epoch, event, mine, () => this.#keepLease(epoch), true))) return "over";
      }
      // They are read again once it is written which of them are none any more.
      this.#deps.hurry();
      await this.#lastReport;
      return epoch === this.#epoch ? "crowded" : "over";
    } finally {
      permit?.release();
      this.#deps.onReadAhead(-bytes);
    }
  }

  /** (5, 7) Before each push from the log: enough of the lease is left, and the broker was heard of. */
  async #keepLease(epoch: number): Promise<boolean> {
    if (this.state !== "behind") return false; // the lease was lost while it waited for leave to push
    if (!this.#deps.brokerHeard()) {
      this.#pause();
      void this.#report({ retryInMs: 1_000 }, this.#entries);
      return false;
    }
    if (this.#deps.clock.monotonic() - this.#leaseAskedAt < LEASE_RENEW_AFTER_MS) return true;
    if (!(await this.#renew(epoch))) return false;
    if (this.#deps.clock.monotonic() - this.#leaseAskedAt <= LEASE_MAX_AGE_MS) return true;
    // The statement took longer than the lease can spare: somebody else goes on from where the log stands.
    this.#pause();
    void this.#report({ retryInMs: 0 }, this.#entries);
    return false;
  }

  async #renew(epoch: number): Promise<boolean> {
    const askedAt = this.#deps.clock.monotonic();
    const answer = this.#report({ renew: true }, []);
    this.#deps.hurry();
    const written = await answer;
    if (epoch !== this.#epoch || written === null) return false;
    if (!written.leased) {
      this.#pause();
      this.#cover();
      return false;
    }
    this.#leased = true;
    this.#leaseAskedAt = askedAt;
    return true;
  }

  /**
   * At the end of the log: gives the lease back, if the endpoint is level. Returns whether there is more to
   * read. All of it is done at once: a sender that writes as soon as its last message has arrived would
   * otherwise keep the lane reading, a good 20 ms for each message (embedded, over 3 from the line).
   */
  async #hasMore(epoch: number, wasEmpty: boolean): Promise<boolean> {
    this.#deps.hurry();
    await this.#lastReport;
    if (epoch !== this.#epoch) return false;
    const covered = [...this.#entries];
    const cleared = await this.#giveBack(() => this.#deps.clearLevel(this.#endpoint.id));
    if (cleared !== "kept") this.#leased = false;
    if (epoch !== this.#epoch) return false;
    if (cleared === "lost") {
      // It was given back by a statement whose answer was lost, or ran out: whoever has it now, the database knows.
      this.#lose();
      return false;
    }
    // Something came meanwhile, and is read under the same lease; if nothing is found, it may have to be renewed.
    if (cleared === "kept") return wasEmpty ? this.#renew(epoch) : true;
    // (2, 3) What came before the statement is not beyond the head that it found the cursor at.
    this.state = "idle";
    this.#releaseThese(covered);
    this.#offerAgain();
    return false;
  }
}
