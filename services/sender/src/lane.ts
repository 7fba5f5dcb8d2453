import type { PushResult } from "@messenger/channels";
import { type Clock, type InboxEvent, parseAddress, type Random, type TimeLimit } from "@messenger/core";
import type { Attempt, EndpointRow, LeaseAnswer, Progress, ProgressAnswer } from "@messenger/store";
import { LEASE_MS } from "@messenger/store";
import type { Held } from "./held.ts";
import { type Action, type LaneState, ON_EVENT, ON_WAKE, type Place } from "./lane-states.ts";
import { judge, type Judgement, type Standing } from "./outcome.ts";
import type { Permit, Permits } from "./permits.ts";
import { errorText, type News, progressOf, standingOf } from "./progress.ts";

/** Where the event that is pushed came from. */
export type Source = "line" | "log";

/** What a lane needs of the rest of the sender. The store's parts try until they succeed; they reject only when the sender stops. */
export interface LaneDeps {
  clock: Clock;
  random: Random;
  permits: Permits;
  /** Call `onLongWait` of a lane that waits for too long: for leave to push, or for the answer to a push from its line. */
  longWaits: Readonly<Record<Source, TimeLimit<Lane>>>;
  push(endpoint: EndpointRow, event: InboxEvent): Promise<PushResult>;
  report(progress: Progress): Promise<ProgressAnswer | null>;
  /** Has what was reported written at once. */
  hurry(): void;
  takeLease(endpoint: number): Promise<LeaseAnswer | null>;
  clearLevel(endpoint: number): Promise<boolean>;
  /** The events after `after`, in order, some of them; none when there are no more. */
  readEvents(inbox: number, after: number): Promise<readonly InboxEvent[]>;
  /** Whether the broker was heard of lately. */
  brokerHeard(): boolean;
  /** Told of each attempt. */
  onAttempt(endpoint: EndpointRow, event: InboxEvent, attempt: Attempt): void;
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

interface Entry {
  held: Held;
  /** Undefined for a wake. */
  event: InboxEvent | undefined;
}

/** Events that wait in a lane, beside the one in flight; more are read from the log. */
const MAX_IN_LINE = 8;
/** No push starts with settings that are older. */
const SETTINGS_MAX_AGE_MS = 30_000;
export const LEASE_RENEW_AFTER_MS = 10_000;
/** No push starts with less of the lease left. */
const LEASE_MIN_LEFT_MS = 15_000;
/** One for all lanes that do nothing: there are many. */
const NOTHING = Promise.resolve();

/**
 * The deliveries to one endpoint: one push in flight, in the order of the log. A class, and not a factory of closures as elsewhere, because
 * a sender keeps a hundred thousand of them in memory.
 *
 * The rules that make it safe are in docs/architecture.md, under "Pushing"; numbers in comments refer to them.
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
  /** Raised when the broker's connection is lost before an event of the line was pushed: that one is no longer this lane's to push. */
  #turn = 0;
  #inFlight: { seq: number; epoch: number } | undefined;
  /** It waits long for leave to push, or for an answer: what it holds is covered otherwise. */
  #stalled = false;
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
   * Nothing is under way, no broker message is held, and all is written that it reported: it can be forgotten, and loaded again. (A retry that was
   * planned, and written after another lane had taken the lease, would end that.)
   */
  get forgettable(): boolean {
    return !this.busy && this.#entries.length === 0 && this.#unwritten === 0 && this.#cursor === this.#committed;
  }

  offer(held: Held, event: InboxEvent): void {
    const action = ON_EVENT[this.state][this.#placeOf(event.seq)];
    const lineIsFull = action === "push" && this.#line.length >= MAX_IN_LINE;
    this.#act(lineIsFull ? "fall behind" : action, { held, event });
  }

  /** Takes a wake. `level` says that the row read after it came shows the endpoint level with its inbox, and without a due time. */
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
      this.#releaseWhere((entry) => entry.held.seq <= this.#committed);
      return;
    }
    this.#epoch += 1;
    this.#lost = false;
    this.#beginAt(row);
    this.#useSettings(row, readAt);
    this.state = row.due ? "waiting" : "idle";
    this.#offerAgain();
  }

  /** The endpoint is off, or gone. */
  retire(): void {
    this.#epoch += 1;
    this.state = "off";
    this.#line = [];
    this.#releaseWhere(() => true);
  }

  /** The broker's connection was lost: what was held comes again, here or elsewhere. */
  disconnect(): void {
    this.#entries = [];
    this.#line = [];
    this.#lineEnd = this.#cursor;
    if (this.state !== "pushing") return;
    if (this.#inFlight?.epoch === this.#epoch) {
      this.#lineEnd = this.#inFlight.seq;
      return;
    }
    this.#turn += 1;
    this.state = "idle";
  }

  /** Starts no more pushes, lets the one in flight end, and gives the lease back. */
  async stop(): Promise<void> {
    const leased = this.state === "behind";
    this.#epoch += 1;
    await this.#run;
    if (leased) void this.#report({ retryInMs: 0 }, []);
    await this.#lastReport;
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
    switch (action) {
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
        this.state = "behind";
        this.#line = [];
        this.#start((epoch) => this.#catchUp(epoch));
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
      if (this.#entries.length > 0 && this.state !== "off") void this.#report({ ensureDue: true }, this.#entries);
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
    const address = parseAddress(row.address);
    this.#endpoint = row;
    this.#origin = address.usable ? address.url.origin : row.address;
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

  /** Writes where the lane stands, with what is new; then releases what is committed, and all of `held` if there is a due time. */
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
    this.#releaseWhere((entry) => entry.held.seq <= this.#committed);
    if (written.due) this.#releaseThese(covered);
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
      this.#runs -= 1;
      if (this.#runs === 0) this.#run = NOTHING;
    }
  }

  /** Pushes what came from the broker, until the line is empty or the state another. */
  async #pushLine(epoch: number): Promise<void> {
    const turn = this.#turn;
    while (this.#isInLine(epoch, turn)) {
      const event = this.#line.shift();
      if (event === undefined) {
        this.state = "idle";
        this.#advance(this.#committed);
        return;
      }
      if (!this.#takes(event)) this.#passOver(event);
      else if (!(await this.#attempt(epoch, event, "line", () => this.#freshen(epoch, turn)))) return;
    }
  }

  #takes(event: InboxEvent): boolean {
    return event.content.length > 0 && this.#endpoint.kinds.includes(event.kind);
  }

  #passOver(event: InboxEvent): void {
    this.#advance(event.seq);
    void this.#report({}, []);
  }

  /** (6, 7) Before each push from the line: the settings are fresh, the broker was heard of, and the event is still this lane's to push. */
  #freshen(epoch: number, turn: number): boolean | Promise<boolean> {
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
    return this.#isInLine(epoch, turn);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#deps.clock.after(ms, resolve);
    });
  }

  /** It waits for too long. From the line: lets go of what it holds, so that it holds up nobody; from the log: keeps its lease. */
  onLongWait(from: Source): void {
    if (from === "line") {
      if (this.state !== "pushing") return;
      this.#stalled = true;
      this.#cover();
      return;
    }
    if (this.state !== "behind") return;
    void this.#renew(this.#epoch);
    this.#deps.longWaits.log.begin(this);
  }

  async #permit(from: Source): Promise<Permit> {
    const { permits, longWaits } = this.#deps;
    longWaits[from].begin(this);
    try {
      return await permits.acquire(this.#origin, this.#standing.failures > 0);
    } finally {
      longWaits[from].end(this);
      this.#stalled = false;
    }
  }

  /** Makes one attempt, once `ready` allows it. Returns whether to go on with the next event. */
  async #attempt(epoch: number, event: InboxEvent, from: Source, ready: () => boolean | Promise<boolean>): Promise<boolean> {
    const { clock } = this.#deps;
    const permit = this.#deps.permits.take(this.#origin, this.#standing.failures > 0) ?? (await this.#permit(from));
    let result: PushResult;
    const endpoint = this.#endpoint;
    let startedAt: number;
    let started: number;
    try {
      if (epoch !== this.#epoch) return false;
      const isReady = ready();
      if (!(typeof isReady === "boolean" ? isReady : await isReady) || epoch !== this.#epoch) return false;
      startedAt = clock.now();
      started = clock.monotonic();
      this.#inFlight = { seq: event.seq, epoch };
      if (from === "line") this.#deps.longWaits.line.begin(this);
      result = await this.#deps.push(this.#endpoint, event);
    } finally {
      this.#inFlight = undefined;
      this.#deps.longWaits.line.end(this);
      this.#stalled = false;
      permit.release();
    }
    const before = this.#standing;
    const judgement = judge(result, before, { now: clock.now(), unit: this.#deps.random.unit() });
    const attempt: Attempt = {
      seq: event.seq,
      attempt: before.failures + 1,
      at: startedAt,
      outcome: judgement.outcome,
      status: result.kind === "answered" ? result.status : null,
      ms: clock.monotonic() - started,
      error: result.kind === "answered" ? null : errorText(result),
    };
    this.#deps.onAttempt(endpoint, event, attempt);
    if (epoch !== this.#epoch) {
      // (4) It counts for the generation that it was made under, if that is still the endpoint's.
      const cursor = judgement.verdict.next === "advance" ? Math.max(endpoint.cursor, event.seq) : endpoint.cursor;
      const progress = progressOf(endpoint, judgement.standing, cursor, { attempts: [attempt] });
      await this.#deps.report(progress).catch(() => null); // stopping
      return false;
    }
    return this.#follow(judgement, event, attempt);
  }

  #follow({ verdict, standing }: Judgement, event: InboxEvent, attempt: Attempt): boolean {
    this.#standing = standing;
    const attempts = [attempt];
    switch (verdict.next) {
      case "advance":
        this.#advance(event.seq);
        void this.#report({ attempts }, []);
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

  #pause(): void {
    this.state = "waiting";
    this.#line = [];
    this.#lineEnd = this.#cursor;
  }

  // ------------------------------------------------------------------ reading on

  /** Takes the lease, and pushes from the log until level. */
  async #catchUp(epoch: number): Promise<void> {
    if (this.state !== "behind") return; // the push that was in flight failed
    this.#deps.hurry();
    await this.#lastReport;
    if (epoch !== this.#epoch) return;
    const covered = [...this.#entries];
    const askedAt = this.#deps.clock.monotonic();
    const lease = await this.#deps.takeLease(this.#endpoint.id);
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
    if (!lease.taken) {
      this.state = "waiting";
      return;
    }
    this.#leaseAskedAt = askedAt;
    await this.#readOn(epoch);
  }

  async #readOn(epoch: number): Promise<void> {
    let wasEmpty = false;
    for (;;) {
      const events = await this.#deps.readEvents(this.#endpoint.inbox, this.#cursor);
      if (epoch !== this.#epoch) return;
      for (const event of events) {
        if (!this.#takes(event)) this.#passOver(event);
        else if (!(await this.#attempt(epoch, event, "log", () => this.#keepLease(epoch)))) return;
      }
      const isEmpty = events.length === 0;
      if (isEmpty && !(await this.#hasMore(epoch, wasEmpty))) return;
      wasEmpty = isEmpty;
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
    if (this.#deps.clock.monotonic() - this.#leaseAskedAt <= LEASE_MS - LEASE_MIN_LEFT_MS) return true;
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
    this.#leaseAskedAt = askedAt;
    return true;
  }

  /**
   * At the end of the log: gives the lease back, if the endpoint is level. Returns whether there is more to read. All of it is done at once: a sender that
   * writes as soon as its last message has arrived would otherwise keep the lane reading, a good 20 ms for each message (embedded, over 3 from the line).
   */
  async #hasMore(epoch: number, wasEmpty: boolean): Promise<boolean> {
    this.#deps.hurry();
    await this.#lastReport;
    if (epoch !== this.#epoch) return false;
    const covered = [...this.#entries];
    const cleared = await this.#deps.clearLevel(this.#endpoint.id);
    if (epoch !== this.#epoch) return false;
    // Something came meanwhile, and is read under the same lease; if nothing is found, the lease may be lost.
    if (!cleared) return wasEmpty ? this.#renew(epoch) : true;
    // (2, 3) What came before the statement is not beyond the head that it found the cursor at.
    this.state = "idle";
    this.#releaseThese(covered);
    this.#offerAgain();
    return false;
  }
}
