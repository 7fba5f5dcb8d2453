import type { Channel, Channels } from "@messenger/channels";
import { createIds, createKeyring, type Keyring, storedContent, webhookSecretContext } from "@messenger/core";
import { createAppendQueue, createPublisher, type OutgoingMessage, Overloaded } from "@messenger/listener";
import { type LaneState, type Sender, startSender } from "@messenger/sender";
import { TIMEOUT_S_DEFAULT } from "@messenger/store";
import { createBroker } from "./broker.ts";
import { type Chance, createChance } from "./chance.ts";
import { type Beginning, createReceivers } from "./receivers.ts";
import { createScheduler } from "./scheduler.ts";
import { createStore, type Endpoint } from "./store.ts";
import { Away, createProcess, createTimeline, type Process, Violation, type World } from "./world.ts";

/** Pushes to every address, without looking at it: this is asked for each push. */
function onlyChannel(channel: Channel): Channels {
  return { channelFor: () => channel, vet: () => undefined, providers: [], close: () => channel.close() };
}

/** What a run came to. */
export interface RunResult {
  seed: number;
  steps: number;
  /** How long it was, in the time of the simulated world. */
  seconds: number;
  answered: number;
  pushes: number;
  repeats: number;
  faults: number;
  /** What it broke, and what happened before; undefined where all held. */
  violation: { error: Error; timeline: readonly string[] } | undefined;
}

const PARTITIONS = 2;
/** From this world on, messages go to groups, too: to every inbox. */
const GROUPS_FROM = 1_000_000_000;
/** From this world on, dead letters are pushed again, some endpoints have a rate, and an attempt may take 15 s, not 10. */
const LETTERS_FROM = 1_500_000_000;
/** From this world on, pushes to some endpoints may be in flight at the same time, too. */
const WINDOWS_FROM = 1_700_000_000;
const MAX_STEPS = 400_000;
/**
 * By then, with no more faults, all must have arrived: the longest back-off that so few failures lead to is
 * over twice.
 */
const SETTLE_WITHIN_MS = 60 * 60_000;
const SETTINGS_MAX_AGE_MS = 30_000;
/** No push from the log starts with less of its lease left than it may take, and so much. */
const LEASE_MARGIN_MS = 5_000;
/** Bytes of a log that are read at once, or one event; and what the largest event has. */
const READ_BYTES = 600;
const EVENT_BYTES = 400;
const SECRET = "a secret of the simulation, of more than 32 bytes";
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

interface Node {
  process: Process;
  sender?: Sender;
  stopped: boolean;
  maxMailboxes: number;
  maxInFlight: number;
  mailboxes: () => number;
  /** Permits that are taken. */
  permits: () => number;
  readAheadBytes: () => number;
  send?(message: OutgoingMessage): Promise<unknown>;
  lanes(): Iterable<{ endpointId: number; state: LaneState }>;
}

/** Runs the real listener's and sender's code through one seed's world, and checks the rules after every step. */
export async function simulate(seed: number): Promise<RunResult> {
  const scheduler = createScheduler();
  const chance: Chance = createChance(seed);
  const timeline = createTimeline(scheduler);
  let violation: Error | undefined;
  let changed = false;
  const onChange = (): void => void (changed = true);
  const check = (run: () => void): void => {
    try {
      run();
    } catch (error) {
      violation ??= error as Error;
    }
  };
  const guard = (run: () => void) => (): void => check(run);
  // Of four worlds two are usual ones; one is harsher; in one nothing fails, but partitions move, and receivers are slow.
  const calm = seed % 4 === 3;
  const harsh = calm || seed % 4 === 2;
  // In two of five, what consumers keep is settled at once, as if half a second had passed: the rules must hold without it.
  const keeps = Math.floor(seed / 4) % 5 > 1;
  // What came later is in worlds of their own: the others stay what they were, those that showed a fault among them.
  const isLater = seed >= LETTERS_FROM;
  const timeoutS = isLater ? TIMEOUT_S_DEFAULT : 10;
  const note = (line: string): void => timeline.note(line);
  const world: World = {
    scheduler,
    chance,
    faulty: !calm,
    calm,
    harsh,
    keeps,
    timeoutS,
    rated: isLater,
    windowed: seed >= WINDOWS_FROM,
    dated: seed >= WINDOWS_FROM,
    check,
    note,
  };

  const store = createStore(world, onChange);
  const broker = createBroker(world, PARTITIONS, onChange);
  const random = {
    unit: () => chance.unit(),
    bytes: (size: number) => Uint8Array.from({ length: size }, () => chance.integer(0, 255)),
  };
  const keyring: Keyring = createKeyring({ secret: SECRET, random });
  const ids = createIds({ clock: { ...createProcess(world, "client", () => false).clock }, random });

  // ------------------------------------------------------------------ who is there

  const inboxes = Array.from({ length: chance.integer(2, 4) }, () => store.addInbox().id);
  const addresses = inboxes.flatMap((inbox) =>
    Array.from({ length: chance.integer(1, harsh ? 4 : 2) }, (_, n) => `http://${inbox}-${n}`),
  );
  const inboxOf = (address: string): number => Number(/(\d+)-/u.exec(address)?.[1]);
  const endpointOf = (address: string): Endpoint | undefined =>
    [...store.endpoints.values()].find((endpoint) => endpoint.address === address);
  /** What an address need not get, by when it logged in: others of its inbox had taken that. */
  const waived = new Map<string, { seqs: ReadonlySet<number>; at: number }[]>();
  const replays = new Map<string, { after: number; at: number }[]>();
  /** When a dead letter was last asked for, by its key in the store. */
  const asked = new Map<string, number>();
  const loggedInAt = new Map<string, number>();
  const receivers = createReceivers(
    world,
    addresses,
    (address, seq) => isWanted(address, seq),
    (address, seq) => store.inboxes.get(inboxOf(address))?.events[seq - 1]?.id,
    (address) => store.mostInFlight(endpointOf(address)),
  );

  function isWanted(address: string, seq: number): boolean {
    const event = store.inboxes.get(inboxOf(address))?.events[seq - 1];
    return event?.kind === "message.created" && waived.get(address)?.some(({ seqs }) => seqs.has(seq)) !== true;
  }

  function logIn(address: string): void {
    const inbox = inboxOf(address);
    const before = endpointOf(address)?.cursor ?? 0;
    const secret = Buffer.from(keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), random.bytes(24))).toString(
      "latin1",
    );
    const { cursor } = store.logIn(inbox, address, ["message.created"], secret);
    const seqs = new Set<number>();
    for (let seq = before + 1; seq <= cursor; seq += 1) if (receivers.took(address, seq) === undefined) seqs.add(seq);
    waived.set(address, [...(waived.get(address) ?? []), { seqs, at: scheduler.now }]);
    replays.delete(address); // it goes on from where the others are
    loggedInAt.set(address, scheduler.now);
    world.note(`${address} logs in, at ${cursor}`);
  }

  // ------------------------------------------------------------------ what runs

  const nodes = new Map<string, Node>();
  const answered = new Set<string>();
  let lives = 0;

  function openBroker(process: Process) {
    const cover = (missing: readonly number[]): Promise<void> => process.call("repair", () => store.repair(missing, PARTITIONS));
    return broker.open(process, cover);
  }

  function startListener(name: string): void {
    lives += 1;
    const process = createProcess(world, `${name}.${lives}`, () => store.away);
    const publisher = createPublisher({
      broker: openBroker(process),
      clock: process.clock,
      deleteOutbox: (rows) => process.call("delete outbox rows", () => store.deleteOutbox(rows)),
      onPublished: () => undefined,
      onError: () => undefined,
    });
    const appends = createAppendQueue({
      clock: process.clock,
      appendMessages: (messages) => process.call("append", () => store.append(messages)),
      whyUnavailable: (error) => (error instanceof Away ? "it is away" : undefined),
      onAppended: (batch) => publisher.publishEvents(batch),
      onBatch: () => undefined,
      onError: () => undefined,
    });
    nodes.set(name, { ...idle, process, send: (message) => appends.append(message) });
  }

  const idle = {
    stopped: false,
    maxMailboxes: 0,
    maxInFlight: 0,
    mailboxes: () => 0,
    permits: () => 0,
    readAheadBytes: () => 0,
    lanes: () => [],
  };

  async function launchSender(name: string): Promise<void> {
    lives += 1;
    const process = createProcess(world, `${name}.${lives}`, () => store.away);
    let mailboxes: () => ReadonlyMap<number, { lanes: Iterable<{ endpointId: number; state: LaneState }> }> = () => new Map();
    const lanes = (): { endpointId: number; state: LaneState }[] =>
      [...mailboxes().values()].flatMap((mailbox) => [...mailbox.lanes]);
    const maxMailboxes = chance.pick([1, 2, 1_000]);
    const maxInFlight = chance.pick([2, 8]);
    const node: Node = { ...idle, process, lanes, maxMailboxes, maxInFlight, mailboxes: () => mailboxes().size };
    nodes.set(name, node);
    node.sender = await startSender({
      name: process.name,
      store: store.forSender(process),
      broker: openBroker(process),
      channels: onlyChannel(receivers.channelOf(process, (address, seq) => beginPush(node, address, seq))),
      keyring,
      clock: process.clock,
      random: process.random,
      log: quiet,
      metrics: {
        onAttempt: () => undefined,
        onDeadLetters: () => undefined,
        onOff: () => undefined,
        onDeferred: () => undefined,
        onBacklog: () => undefined,
        onRelayed: () => undefined,
        onTold: () => undefined,
        observe(sources) {
          mailboxes = () => sources.mailboxes() as ReturnType<typeof mailboxes>;
          node.permits = () => sources.inFlight() + sources.lingering();
          node.readAheadBytes = () => sources.readAheadBytes();
        },
      },
      maxInFlight,
      maxMailboxes,
      readBytes: READ_BYTES,
      // In some worlds, two bundles are half of what it may hold: its lanes let go sooner.
      ...(Math.floor(seed / 20) % 4 === 0 ? { prefetch: 3 } : undefined),
      partitions: PARTITIONS,
      keepAnswers: "all",
      keepAttemptsDays: 30,
    });
  }

  // ------------------------------------------------------------------ what must hold

  /** What must hold when a push begins. */
  function beginPush(node: Node, address: string, seq: number): Beginning {
    const { process } = node;
    const endpoint = endpointOf(address);
    const leased = endpoint?.leaseBy === process.name;
    const lane = [...node.lanes()].find(({ endpointId }) => endpointId === endpoint?.id);
    check(() => {
      checkSettings(process, lane?.state, address);
      checkLoggedIn(process, lane?.state, address, seq);
      // (9)
      if (node.stopped) throw new Violation(`${process.name} pushes ${seq} to ${address} after it was stopped`);
      if (lane?.state === "pushing" && !leased && !broker.hasBrought(process, inboxOf(address), seq)) {
        throw new Violation(`${process.name} pushes ${seq} to ${address}, which its connection did not bring`);
      }
    });
    return { leasedAt: leased ? endpoint?.leasedAt : undefined, cutOffAt: (since) => broker.cutOffAt(process, since) };
  }

  /** Memory is bounded, whatever hangs. */
  function checkBounds(): void {
    for (const { process, maxMailboxes, maxInFlight, mailboxes, permits, readAheadBytes } of nodes.values()) {
      if (mailboxes() > maxMailboxes) {
        throw new Violation(`${process.name} has ${mailboxes()} mailboxes in memory, and ${maxMailboxes} are allowed`);
      }
      // More than may be in flight are, where some linger; and one that ended may still be written.
      if (readAheadBytes() > (Math.max(maxInFlight, permits()) + 1) * (READ_BYTES + EVENT_BYTES)) {
        throw new Violation(`${process.name} has read ${readAheadBytes()} bytes ahead`);
      }
    }
  }

  /**
   * (4) Who has logged out is sent nothing from the line that was sent after that; from the log, (6) says for
   * how long. A database that comes back older does not know who had.
   */
  function checkLoggedIn(process: Process, state: LaneState | undefined, address: string, seq: number): void {
    const endpoint = endpointOf(address);
    const event = store.inboxes.get(inboxOf(address))?.events[seq - 1];
    if (state !== "pushing" || failedOver || endpoint === undefined || event === undefined) return;
    const after = Date.parse(event.createdAt) - endpoint.loggedOutAt;
    if (after > 0) {
      throw new Violation(
        `${process.name} pushes ${seq} to ${address}, which logged out ${Math.round(after)} ms before that was sent`,
      );
    }
  }

  /** (5, 6) */
  function checkSettings(process: Process, state: LaneState | undefined, address: string): void {
    const endpoint = endpointOf(address);
    if (endpoint === undefined) return;
    const offFor = scheduler.now - endpoint.offAt;
    if (!endpoint.active && offFor > SETTINGS_MAX_AGE_MS) {
      throw new Violation(`${process.name} pushes to ${address}, which went off ${Math.round(offFor / 1000)} s ago`);
    }
    const changedFor = scheduler.now - (changedAt.get(endpoint.id) ?? 0);
    if (state !== "behind" || !endpoint.active || changedFor < SETTINGS_MAX_AGE_MS) return;
    if (endpoint.leaseBy !== process.name || (endpoint.retryAt ?? 0) < scheduler.now + world.timeoutS * 1_000 + LEASE_MARGIN_MS) {
      throw new Violation(`${process.name} pushes to ${address} from the log, and the lease is not its own`);
    }
  }
  const changedAt = new Map<number, number>();

  /** The invariant: what an active endpoint has not taken is in the outbox, in the broker, or due. */
  function checkCovered(): void {
    for (const endpoint of store.endpoints.values()) {
      if (!endpoint.active || endpoint.retryAt !== null) continue;
      const { id, head } = store.inboxes.get(endpoint.inbox) as { id: number; head: number };
      const isLevel = endpoint.cursor >= head && !endpoint.replaying;
      if (isLevel || !broker.hasQueue(id) || broker.covers(id, undefined)) continue;
      if ([...store.outbox.values()].some((row) => row.inboxIds.includes(id))) continue;
      if (endpoint.replaying) throw new Violation(`nothing covers the dead letters of ${endpoint.address}`);
      for (let seq = endpoint.cursor + 1; seq <= head; seq += 1) {
        if (!broker.covers(id, seq)) throw new Violation(`nothing covers event ${seq} of inbox ${id} for ${endpoint.address}`);
      }
    }
  }

  function isSettled(): boolean {
    if (broker.size > 0 || store.outbox.size > 0) return false;
    return [...store.endpoints.values()].every(
      ({ active, cursor, inbox, retryAt, replaying }) =>
        !active || (cursor === store.inboxes.get(inbox)?.head && retryAt === null && !replaying),
    );
  }

  function describeUnsettled(): string {
    const behind = [...store.endpoints.values()].filter(
      ({ active, cursor, inbox, retryAt }) => active && (cursor !== store.inboxes.get(inbox)?.head || retryAt !== null),
    );
    const endpoints = behind.map(({ address, cursor, retryAt, leaseBy, inbox }) => {
      const states = [...nodes.values()].map(
        (node) => [...node.lanes()].find(({ endpointId }) => endpointId === endpointOf(address)?.id)?.state,
      );
      const due = retryAt === null ? "never" : `in ${Math.round(retryAt - scheduler.now)} ms, by ${leaseBy}`;
      return `${address} at ${cursor} of ${store.inboxes.get(inbox)?.head}, due ${due}, lanes ${states.join()}`;
    });
    return `${broker.size} in the broker, ${store.outbox.size} in the outbox; ${endpoints.join("; ")}`;
  }

  function checkArrived(): void {
    const logged = new Set([...store.inboxes.values()].flatMap(({ events }) => events.map(({ id }) => id)));
    const missing = [...answered].filter((id) => !logged.has(id) && !forgotten.has(id));
    if (missing.length > 0) throw new Violation(`${missing.length} messages were answered, and are not in the log`);
    for (const endpoint of store.endpoints.values()) {
      if (!endpoint.active) continue;
      for (const { seq } of store.inboxes.get(endpoint.inbox)?.events ?? []) {
        const { address } = endpoint;
        const key = `${endpoint.id}/${seq}`;
        const letter = store.deadLetters.get(key);
        const askedAt = asked.get(key) ?? 0;
        if (letter?.asked === true) throw new Violation(`the dead letter ${seq} of ${address} was not pushed again`);
        if (!isWanted(address, seq) || (letter !== undefined && letter.at >= askedAt)) continue;
        const took = receivers.took(address, seq);
        if (letter !== undefined) throw new Violation(`the dead letter ${seq} of ${address} is there, and was asked for since`);
        if (took !== undefined && took.lastAt < askedAt)
          throw new Violation(`${address} did not get the dead letter ${seq} again`);
        if (took === undefined) throw new Violation(`${address} never got ${seq}`);
        const replay = replays.get(address)?.findLast((one) => one.after < seq);
        if (replay !== undefined && took.lastAt < replay.at) throw new Violation(`${address} did not get ${seq} again`);
      }
    }
  }

  // ------------------------------------------------------------------ what happens

  /** What a database that came back older lost; some of it was answered. */
  const forgotten = new Set<string>();
  let failedOver = false;

  function failOver(): void {
    failedOver = true;
    const { asOf, lost } = store.failOver();
    for (const id of lost) forgotten.add(id);
    asked.clear();
    receivers.failOver(
      (address) => store.inboxes.get(inboxOf(address))?.head ?? 0,
      (address) => (loggedInAt.get(address) ?? 0) > asOf,
    );
    for (const address of addresses) {
      const endpoint = endpointOf(address);
      waived.set(
        address,
        (waived.get(address) ?? []).filter(({ at }) => at < asOf),
      );
      replays.set(
        address,
        (replays.get(address) ?? []).filter(({ at }) => at < asOf),
      );
      if (endpoint !== undefined) changedAt.set(endpoint.id, scheduler.now);
    }
  }

  const listeners = Array.from({ length: chance.integer(1, 2) }, (_, n) => `listener-${n}`);
  const senders = Array.from({ length: chance.integer(1, 3) }, (_, n) => `sender-${n}`);
  let faults = 0;

  function sendMessage(): void {
    const id = ids.next();
    const receiver = chance.pick(inboxes);
    const isToGroup = seed >= GROUPS_FROM && chance.happens(0.5);
    const text = "hello".repeat(chance.integer(1, 20));
    const said = { message: text, sender_id: 1, sender_username: "a", send_date: "2026-01-01" };
    const plain = storedContent(isToGroup ? said : { ...said, receiver_id: receiver });
    const message: OutgoingMessage = {
      id,
      sentEventId: id,
      senderId: chance.happens(0.1) ? 0 : 1,
      to: isToGroup ? { group: 1 } : { user: receiver },
      sessionId: 1,
      content: keyring.contents.seal(id, plain),
      plain,
      sentAt: 0,
      requestKey: null,
    };
    nodes
      .get(chance.pick(listeners))
      ?.send?.(message)
      .then(
        () => answered.add(id),
        (error: unknown) => {
          if (!(error instanceof Overloaded)) violation ??= error as Error;
        },
      );
  }

  function changeEndpoints(): void {
    const address = chance.pick(addresses);
    const endpoint = endpointOf(address);
    if (endpoint?.active !== true) logIn(address);
    else if (chance.happens(0.4)) {
      world.note(`${address} logs out`);
      store.logOut(endpoint.id);
    } else if (chance.happens(0.5)) logIn(address);
    else if (seed >= LETTERS_FROM && chance.happens(0.6)) {
      const more = Array.from({ length: chance.integer(1, 4) }, () => chance.integer(1, Math.max(1, endpoint.cursor)));
      const seqs = store.askAgain(
        endpoint.id,
        more.filter((seq) => isWanted(address, seq)),
      );
      world.note(`${address} is to get its dead letters again: ${seqs.join()}`);
      for (const seq of seqs) asked.set(`${endpoint.id}/${seq}`, scheduler.now);
    } else {
      const after = chance.integer(0, endpoint.cursor);
      world.note(`${address} is set back to ${after}`);
      store.replay(endpoint.id, after);
      replays.set(address, [...(replays.get(address) ?? []), { after, at: scheduler.now }]);
      // What was asked for and lies beyond it comes by the log, or not, where the address logs in after that.
      for (const key of asked.keys()) {
        const [id, seq] = key.split("/").map(Number) as [number, number];
        if (id === endpoint.id && seq > after) asked.delete(key);
      }
    }
    const now = endpointOf(address);
    if (now !== undefined) changedAt.set(now.id, scheduler.now);
  }

  function restart(name: string): void {
    const node = nodes.get(name);
    const again = (): void => {
      if (name.startsWith("sender")) void launchSender(name);
      else startListener(name);
    };
    if (node?.sender !== undefined && (calm || chance.happens(0.3))) {
      world.note(`${node.process.name} is stopped`);
      void node.sender.stop().then(() => {
        if (!node.process.alive) return;
        node.stopped = true;
        scheduler.after(chance.unit() * 15_000, () => {
          if (!node.process.alive) return;
          node.process.crash();
          again();
        });
      });
      return;
    }
    node?.process.crash();
    scheduler.after(chance.unit() * 4_000, again);
  }

  interface Fault {
    often: number;
    name: string;
    run: () => void;
  }
  const MOVES: readonly Fault[] = [
    { often: 8, name: "a sender ends", run: () => restart(chance.pick(senders)) },
    { often: 20, name: "a partition is handed over", run: () => broker.handOver() },
    { often: 12, name: "a seat moves", run: () => broker.moveSeat() },
    { often: 14, name: "a receiver changes", run: () => receivers.changeMood() },
    { often: 3, name: "endpoints change", run: changeEndpoints },
  ];
  const HARSH: readonly Fault[] = [
    { often: 6, name: "a seat moves", run: () => broker.moveSeat() },
    { often: 3, name: "the database comes back older", run: failOver },
    { often: 3, name: "several processes end", run: () => [...senders, ...listeners].forEach(restart) },
  ];
  const USUAL: readonly Fault[] = [
    { often: 8, name: "a sender ends", run: () => restart(chance.pick(senders)) },
    { often: 3, name: "a listener ends", run: () => restart(chance.pick(listeners)) },
    { often: 10, name: "a connection is lost", run: () => broker.loseConnection() },
    { often: 8, name: "a partition is handed over", run: () => broker.handOver() },
    { often: 1, name: "the broker is wiped", run: () => broker.wipe() },
    { often: 14, name: "a receiver changes", run: () => receivers.changeMood() },
    { often: 6, name: "endpoints change", run: changeEndpoints },
    {
      often: 2,
      name: "the store is away",
      run() {
        store.away = true;
        scheduler.after(chance.unit() * 8_000, () => (store.away = false));
      },
    },
    {
      often: 1,
      name: "the broker is away",
      run() {
        broker.away = true;
        scheduler.after(chance.unit() * 8_000, () => (broker.away = false));
      },
    },
  ];
  const faultsOf = calm ? MOVES : [...USUAL, ...(harsh ? HARSH : [])];
  const total = faultsOf.reduce((sum, { often }) => sum + often, 0);

  function injectFault(): void {
    let at = chance.unit() * total;
    const fault = faultsOf.find(({ often }) => (at -= often) < 0) ?? faultsOf[0];
    faults += 1;
    world.note(fault?.name ?? "");
    fault?.run();
  }

  // ------------------------------------------------------------------ the run

  for (const address of addresses) if (chance.happens(0.8)) logIn(address);
  store.keepHistory();
  for (const name of listeners) startListener(name);
  for (const name of senders) await launchSender(name);
  const chaosMs = chance.integer(20_000, 90_000);
  const messages = chance.integer(20, 80);
  for (let n = 0; n < messages; n += 1) scheduler.after(chance.unit() * chaosMs, guard(sendMessage));
  const faultCount = chance.integer(3, calm ? 120 : harsh ? 60 : 30);
  for (let n = 0; n < faultCount; n += 1) scheduler.after(chance.unit() * chaosMs, guard(injectFault));
  scheduler.after(chaosMs, () => {
    world.note("nothing goes wrong any more");
    world.faulty = false;
    world.calm = false;
    store.away = false;
    broker.away = false;
    // Where many events were rejected in a row, the back-off has come to hours: its owner, who has mended it, has it tried at once.
    for (const address of addresses) if (world.dated || endpointOf(address)?.active !== true) logIn(address);
    for (const endpoint of store.endpoints.values()) changedAt.set(endpoint.id, scheduler.now);
  });

  let steps = 0;
  try {
    while (await scheduler.step()) {
      steps += 1;
      check(checkBounds);
      if (violation !== undefined) break;
      if (changed) {
        changed = false;
        checkCovered();
      }
      if (!world.faulty && !world.calm && isSettled()) break;
      if (scheduler.now > chaosMs + SETTLE_WITHIN_MS) throw new Violation(`it does not settle: ${describeUnsettled()}`);
      if (steps > MAX_STEPS) throw new Violation(`it does not settle within ${MAX_STEPS} steps`);
    }
    if (violation === undefined) checkArrived();
  } catch (error) {
    violation = error as Error;
  }
  for (const { process } of nodes.values()) process.crash();
  const { pushes, repeats } = receivers;
  return {
    seed,
    steps,
    seconds: scheduler.now / 1000,
    answered: answered.size,
    pushes,
    repeats,
    faults,
    violation: violation === undefined ? undefined : { error: violation, timeline: timeline.lines() },
  };
}
