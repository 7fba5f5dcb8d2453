import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

/** The code with one of its rules broken: the simulation must notice. */
export interface Mutant {
  name: string;
  /** What no longer holds. */
  rule: string;
  /** In the workspace. */
  file: string;
  /** Each text must be there exactly once. */
  changes: readonly { from: string; to: string }[];
  /** The first world to look in, of one that few worlds notice: the one that showed the fault. 1 if not given. */
  firstWorld?: number;
}

const LANE = "services/sender/src/lane.ts";
const HOLDING = "packages/broker/src/holding.ts";
const MAILBOX = "services/sender/src/mailbox.ts";
const SENDER = "services/sender/src/sender.ts";
const PUBLISHER = "services/listener/src/publisher.ts";
// The statements themselves are the store's; what they promise is in the simulated one.
const STORE = "packages/simulation/src/store.ts";

export const MUTANTS: readonly Mutant[] = [
  {
    name: "acknowledge-by-memory",
    rule: "(1) an event is acknowledged once the database has committed a cursor that is not below it, not when memory has",
    file: LANE,
    changes: [
      {
        from: `      case "advance":
        this.#advance(event.seq);
`,
        to: `      case "advance":
        this.#advance(event.seq);
        this.#releaseWhere((entry) => entry.held.seq <= this.#cursor);
`,
      },
    ],
  },
  {
    name: "acknowledge-wake-at-once",
    rule: "(2) a wake is acknowledged once every endpoint that is behind has a due time",
    file: LANE,
    changes: [
      {
        from: `    this.#act(nothingToDo ? "release" : ON_WAKE[this.state], { held, event: undefined });`,
        to: `    held.release();
    if (!nothingToDo) this.#act(ON_WAKE[this.state], { held: { seq: held.seq, release: () => undefined }, event: undefined });`,
      },
    ],
  },
  {
    name: "clear-by-snapshot",
    rule: "(3) a due time is cleared by the head that the inbox's lock returned, not by that of the snapshot",
    file: STORE,
    changes: [
      {
        from: `        return process.call("give leases back", () => {`,
        to: `        const heads = new Map([...inboxes.values()].map((inbox) => [inbox.id, inbox.head]));
        return process.call("give leases back", () => {`,
      },
      {
        from: `            if (isBehind(endpoint)) return "kept";`,
        to: `            if (endpoint.replaying || endpoint.cursor < (heads.get(endpoint.inbox) as number)) return "kept";`,
      },
    ],
  },
  {
    name: "ignore-version",
    rule: "(4) an event from after the endpoints changed waits until they are read anew",
    file: MAILBOX,
    changes: [{ from: ` || message.version > this.#version`, to: `` }],
  },
  {
    name: "ignore-generation",
    rule: "(4) an outcome of another generation writes nothing",
    file: STORE,
    changes: [{ from: ` || endpoint.generation + incarnation !== report.generation`, to: `` }],
  },
  {
    name: "push-without-lease",
    rule: "(5) no push from the log starts with less than 15 s of the lease left",
    file: LANE,
    changes: [
      {
        from: `    if (this.#deps.clock.monotonic() - this.#leaseAskedAt < LEASE_RENEW_AFTER_MS) return true;`,
        to: `    if (this.#leaseAskedAt >= 0) return true;`,
      },
    ],
  },
  {
    name: "push-after-falling-behind",
    rule: "(6) a lane that fell behind while it waited for its settings pushes nothing from its line",
    file: LANE,
    changes: [
      {
        from: `    if (!fresh || !this.#deps.brokerHeard()) return this.#becomeFresh(epoch, turn);
    return this.#isInLine(epoch, turn);`,
        to: `    if (!fresh || !this.#deps.brokerHeard()) return this.#becomeFresh(epoch, turn).then(() => true);
    return true;`,
      },
    ],
  },
  {
    name: "cover-a-push-by-a-due-time",
    rule: "(8) what a long push holds is covered by its endpoint's lease, not by a due time",
    file: LANE,
    changes: [
      {
        from: `if (this.#inFlight !== undefined || this.state === "pushing") void this.#hold();
      else void`,
        to: `void`,
      },
    ],
  },
  {
    name: "yield-at-once",
    rule: "(8) a partition is given up once no push of it is in flight but under a lease",
    file: SENDER,
    changes: [
      {
        from: `        await secure(isConcerned);
        if (losses !== before) return; // the partition has gone with the connection, and may have come back
        givenUp.add(partition);
        // What came meanwhile: from here on, nothing asks for a lease.
        await secure(isConcerned);`,
        to: `        givenUp.add(partition);`,
      },
    ],
  },
  {
    name: "ask-after-giving-up",
    rule: "(8) nothing asks for a lease once its partition may have gone to another sender",
    file: SENDER,
    changes: [{ from: `        givenUp.add(partition);\n`, to: `` }],
    firstWorld: 900_003_600,
  },
  {
    name: "release-while-holding",
    rule: "(8) a lane that asks for the lease over a push keeps what it holds until the answer",
    file: LANE,
    changes: [
      {
        from: `    if (this.#pendingHold === NOTHING) {\n      release();`,
        to: `    if (release !== undefined) {\n      release();`,
      },
    ],
    firstWorld: 740_001_443,
  },
  {
    name: "trust-memory-after-others",
    rule: "(8) a sender that missed something of a partition reads endpoints anew before it pushes from the line",
    file: MAILBOX,
    changes: [{ from: `      if (this.#deps.timesMissed(this.#inbox) !== this.#timesMissed) return;\n`, to: `` }],
    firstWorld: 4_143,
  },
  {
    name: "lease-after-a-loss",
    rule: "(8) a lease that was asked for before the connection was lost, and granted after that, is not used",
    file: LANE,
    changes: [{ from: `if (isUsed && (this.#leased || disconnects === this.#disconnects))`, to: `if (isUsed)` }],
    firstWorld: 820_000_000,
  },
  {
    name: "go-on-after-a-loss",
    rule: "(8) a lease that the lane had when the connection was lost is given back after the push in flight",
    file: LANE,
    changes: [
      { from: `    if (this.#leased) {\n      // (8) It may have`, to: `    if (this.#epoch < 0) {\n      // (8) It may have` },
    ],
    firstWorld: 69_890_000,
  },
  {
    name: "give-up-while-giving-back",
    rule: "(8) a partition is given up once no lease is being given back, too",
    file: LANE,
    changes: [{ from: `(!this.#leased || this.#pendingEnd !== NOTHING)`, to: `!this.#leased` }],
    firstWorld: 462_264_000,
  },
  {
    name: "never-missed",
    rule: "(8) a consumer that held nothing of a partition says that another may have had it",
    file: HOLDING,
    changes: [{ from: `      if (held[partition] === 0) onMissed(partition);\n`, to: `` }],
  },
  {
    name: "change-ends-lease",
    rule: "(8) a change of an endpoint does not end the lease under which a push may be in flight",
    file: STORE,
    changes: [
      {
        from: `    return isLive ? { retryAt, leaseBy } : {`,
        to: `    return isLive && retryAt === 0 ? { retryAt, leaseBy } : {`,
      },
    ],
  },
  {
    name: "push-after-stop",
    rule: "(9) nothing is pushed after a sender was stopped",
    file: SENDER,
    changes: [
      { from: `    isStopping: () => stopping,`, to: `    isStopping: () => false,` },
      { from: `    if (stopping) return; // it goes back to the broker\n`, to: `` },
    ],
  },
  {
    name: "push-of-a-lost-connection",
    rule: "(9) nothing of a lost connection is pushed",
    file: MAILBOX,
    changes: [{ from: `    this.#beingLoadedFor = [];\n    for (const lane`, to: `    for (const lane` }],
  },
  {
    name: "keep-every-mailbox",
    rule: "there are no more mailboxes in memory than may be",
    file: SENDER,
    changes: [{ from: ` && !makeRoom()) return undefined;`, to: `) makeRoom();` }],
  },
  {
    name: "read-without-permit",
    rule: "only a lane that has a permit reads ahead",
    file: LANE,
    changes: [
      {
        from: `        permit ??= this.#takePermit();
        if (permit === undefined) return "crowded";`,
        to: `        permit ??= this.#takePermit() ?? (await this.#permit("log"));
        if (permit === undefined) return "crowded";`,
      },
    ],
  },
  {
    name: "believe-another-incarnation",
    rule: "an event of another incarnation of the log only says that there is something to read",
    file: LANE,
    changes: [
      {
        from: `    return incarnationOf(event.version) !== incarnationOf(this.#endpoint.generation);`,
        to: `    return event.version < 0;`,
      },
    ],
  },
  {
    name: "report-to-another-incarnation",
    rule: "a database that came back older takes no report of before",
    file: STORE,
    changes: [
      {
        from: `endpoint.generation + incarnation !== report.generation`,
        to: `endpoint.generation !== report.generation % INCARNATION`,
      },
    ],
  },
  {
    name: "clear-twice",
    rule: "a lease that was given back by a statement whose answer was lost is not the lane's any more",
    file: STORE,
    changes: [
      {
        from: `if (endpoint?.leaseBy !== by) return "lost";`,
        to: `if (endpoint?.leaseBy !== by) return endpoint === undefined ? "lost" : "kept";`,
      },
    ],
  },
  {
    name: "outbox-before-confirm",
    rule: "an outbox row goes once the broker has confirmed all that it covers",
    file: PUBLISHER,
    changes: [
      {
        from: `    const confirmed = await publishes.add(batch).finally(() => (waitingBytes -= bytes));`,
        to: `    if (batch.outboxId !== null) await deletes.add(batch.outboxId);
    const confirmed = await publishes.add(batch).finally(() => (waitingBytes -= bytes));`,
      },
    ],
  },
  {
    name: "skip-gap-check",
    rule: "an event that is not the next one is not pushed",
    file: LANE,
    changes: [{ from: `return seq === this.#lineEnd + 1 ? "next" : "ahead";`, to: `return "next";` }],
  },
  {
    name: "cursor-goes-back",
    rule: "a cursor never goes back by itself",
    file: STORE,
    changes: [{ from: `endpoint.cursor = Math.max(endpoint.cursor, report.cursor);`, to: `endpoint.cursor = report.cursor;` }],
  },
  {
    name: "letters-forgotten",
    rule: "a dead letter that is asked for is pushed again, or is one again",
    file: LANE,
    firstWorld: 1_600_000_000,
    changes: [
      {
        from: `      const letters = await this.#deps.readAsked(this.#endpoint.id);`,
        to: `      const letters: readonly AskedLetter[] = [];`,
      },
    ],
  },
  {
    name: "advance-over-a-failure",
    rule: "of pushes in flight at the same time, the cursor moves over those before the first that was not taken",
    file: LANE,
    firstWorld: 1_700_000_000,
    changes: [
      {
        from: `const isLast = judgement.verdict.next === "retry" || judgement.verdict.next === "off";`,
        to: `const isLast = judgement.verdict.next === "off";`,
      },
      {
        from: `} else if (!this.#follow(judgement, event, [...attempts, ...beside], false)) return false;`,
        to: `} else this.#follow(judgement, event, [...attempts, ...beside], false);`,
      },
    ],
  },
  {
    name: "go-on-after-a-rejection",
    rule: "of pushes in flight at the same time, those after one that was rejected do not count once their lane has ended",
    file: LANE,
    firstWorld: 1_700_004_000,
    changes: [{ from: `        if (!isTaken) return false;`, to: `        if (isLast) return false;` }],
  },
  {
    name: "more-than-may-be-in-flight",
    rule: "no more pushes to an endpoint are in flight at the same time than it takes",
    file: LANE,
    firstWorld: 1_700_000_000,
    changes: [{ from: `permits.length + 1 < most`, to: `permits.length < most` }],
  },
  {
    name: "letters-uncovered",
    rule: "a change of an endpoint with dead letters that are asked for leaves it due",
    file: STORE,
    firstWorld: 1_600_000_922,
    changes: [{ from: `retryAt: endpoint.replaying ? now() : null`, to: `retryAt: null` }],
  },
];

const ROOT = new URL("../../../", import.meta.url);

/** @throws where the code is no longer what the mutant was made for. */
function mutate(source: string, { name, file, changes }: Mutant): string {
  return changes.reduce((text, { from, to }) => {
    if (text.split(from).length !== 2) throw new Error(`the mutant ${name} does not fit ${file} any more: ${from}`);
    return text.replace(from, () => to);
  }, source);
}

/** Has this thread load the mutant's code: before anything of it is imported. */
export function load(mutant: Mutant): void {
  const { href } = new URL(mutant.file, ROOT);
  registerHooks({
    load(url, context, nextLoad) {
      if (url !== href) return nextLoad(url, context);
      return {
        format: "module-typescript",
        source: mutate(readFileSync(fileURLToPath(url), "utf8"), mutant),
        shortCircuit: true,
      };
    },
  });
}
