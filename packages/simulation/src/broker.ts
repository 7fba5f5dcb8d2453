import { type Broker, type ConsumeOptions, createHolding, type Holding, SETTLE_KEPT_EVERY_MS } from "@messenger/broker";
import { partitionOf, type QueueMessage } from "@messenger/core";
import { Away, latency, type Process, type World } from "./world.ts";

/** What was published together to a partition: it is forgotten when all of it is acknowledged. */
interface Entry {
  place: number;
  messages: readonly QueueMessage[];
  holder: Session | undefined;
}

/** A connection of a process. The broker can have lost it before the process knows. */
interface Session {
  process: Process;
  /** The broker has it. */
  up: boolean;
  /** The process has it. */
  known: boolean;
  lostAt: number;
  consumer: ConsumeOptions | undefined;
  /** It moves to another seat: one move after the other. */
  isMoving: boolean;
  holding: Holding;
  /** When the last delivery of each partition arrives: they keep their order. */
  arrival: number[];
  /** The events that it brought, as `inbox/seq`. */
  brought: Set<string>;
  pending: Set<(taken: boolean) => void>;
  onEnd(): void;
}

/** Queues with one active consumer each, as on RabbitMQ: what is not acknowledged comes again, in its place. */
export interface SimulatedBroker {
  away: boolean;
  readonly size: number;
  /** Whether an event, or a wake (`seq` undefined), is in the queues, held ones included. */
  covers(inbox: number, seq: number | undefined): boolean;
  /** Whether the queue of an inbox is there: what a wiped broker held is covered before it is made again. */
  hasQueue(inbox: number): boolean;
  /** Loses a connection; the process learns of it later. */
  loseConnection(): void;
  /** Gives a partition to another consumer, once the one that has it has settled what it holds. */
  handOver(): void;
  /**
   * A consumer moves to another seat: it consumes anew, and gives up how it did before, so that its
   * partitions may go to others at once.
   */
  moveSeat(): void;
  /**
   * When the broker first lost the connection of a process, of the times that it had none since; undefined
   * where it always had one.
   */
  cutOffAt(process: Process, since: number): number | undefined;
  /** Whether an event came by the connection that a process has now, as far as it knows. */
  hasBrought(process: Process, inbox: number, seq: number): boolean;
  /** Loses all connections and all queues. */
  wipe(): void;
  /** What a process has of it. `cover` is `repair` for one partition. */
  open(process: Process, cover: (partitions: readonly number[]) => Promise<void>): Broker;
}

const RECONNECT_MS = 400;

export function createBroker(world: World, partitions: number, onChange: () => void): SimulatedBroker {
  const { scheduler, chance } = world;
  const queues: Entry[][] = Array.from({ length: partitions }, () => []);
  const exists: boolean[] = Array.from({ length: partitions }, () => false);
  const active: (Session | undefined)[] = Array.from({ length: partitions }, () => undefined);
  const draining = new Set<number>();
  const sessions = new Set<Session>();
  /** When each process was without a connection, in order; the last one may go on. */
  const outages = new Map<Process, { from: number; until: number }[]>();
  /** Those that their processes believe in. */
  const known = new Set<Session>();
  /** How often each event and wake is in the queues. */
  const counts = new Map<string, number>();
  let places = 0;
  let wipes = 0;
  let away = false;

  const keyOf = (message: QueueMessage): string => `${message.inbox}/${message.type === "wake" ? "wake" : message.seq}`;
  function count(entry: Entry, by: number): void {
    for (const message of entry.messages) counts.set(keyOf(message), (counts.get(keyOf(message)) ?? 0) + by);
  }

  function activate(partition: number): void {
    const candidates = [...sessions].filter(({ up, consumer }) => up && consumer !== undefined && consumer.prefetch > 0);
    active[partition] = candidates.length === 0 ? undefined : chance.pick(candidates);
    world.note(`partition ${partition} goes to ${active[partition]?.process.name ?? "nobody"}`);
    pump(partition);
  }

  function pump(partition: number): void {
    const session = active[partition];
    if (session?.consumer === undefined) return;
    const queue = queues[partition] as Entry[];
    let held = queue.filter((entry) => entry.holder === session).length;
    if (draining.has(partition)) {
      if (held > 0) return;
      draining.delete(partition);
      activate(partition);
      return;
    }
    for (const entry of queue) {
      const { prefetch } = session.consumer;
      if (held >= prefetch) return;
      if (entry.holder !== undefined) continue;
      entry.holder = session;
      held += 1;
      deliver(session, partition, entry);
    }
  }

  function deliver(session: Session, partition: number, entry: Entry): void {
    const at = Math.max(session.arrival[partition] as number, scheduler.now + latency(world));
    session.arrival[partition] = at;
    scheduler.after(at - scheduler.now, () => {
      if (!session.process.alive || !session.known || session.consumer === undefined) return;
      const { consumer, holding } = session;
      const ack = holding.take(partition, entry.messages.length, () => {
        if (session.known) scheduler.after(latency(world), () => settle(session, partition, entry));
      });
      for (const message of entry.messages) {
        if (message.type === "event") session.brought.add(`${message.inbox}/${message.seq}`);
        consumer.onDelivery({ message, ack });
      }
    });
  }

  function settle(session: Session, partition: number, entry: Entry): void {
    const queue = queues[partition] as Entry[];
    const place = queue.indexOf(entry);
    if (!session.up || entry.holder !== session || place === -1) return;
    queue.splice(place, 1);
    count(entry, -1);
    onChange();
    pump(partition);
  }

  /** The broker's side of it ends: what it held goes to others. */
  function drop(session: Session): void {
    if (!session.up) return;
    session.up = false;
    session.lostAt = scheduler.now;
    const { process } = session;
    outages.set(process, [...(outages.get(process) ?? []), { from: scheduler.now, until: Number.POSITIVE_INFINITY }]);
    sessions.delete(session);
    queues.forEach((queue, partition) => {
      for (const entry of queue) if (entry.holder === session) entry.holder = undefined;
      if (active[partition] === session) {
        draining.delete(partition);
        activate(partition);
      } else pump(partition);
    });
  }

  function keepTicking(session: Session): void {
    scheduler.after(SETTLE_KEPT_EVERY_MS, () => {
      if (!session.known || !session.process.alive) return;
      session.holding.tick();
      keepTicking(session);
    });
  }

  /** The process's side of it ends. */
  function learn(session: Session): void {
    if (!session.known || !session.process.alive) return;
    session.known = false;
    known.delete(session);
    world.note(`${session.process.name} learns that its connection is lost`);
    for (const resolve of session.pending) resolve(false);
    session.pending.clear();
    session.onEnd();
  }

  function lose(session: Session): void {
    drop(session);
    // Mostly at once; where nothing says so, by the heartbeat.
    const noticedAfter = chance.happens(0.6) ? latency(world) : chance.unit() * 25_000;
    scheduler.after(noticedAfter, () => learn(session));
  }

  function store(messages: readonly QueueMessage[]): boolean {
    const bundles = new Map<number, QueueMessage[]>();
    for (const message of messages) {
      const partition = partitionOf(message.inbox, partitions);
      bundles.set(partition, [...(bundles.get(partition) ?? []), message]);
    }
    let all = true;
    for (const [partition, bundle] of bundles) {
      if (!exists[partition]) {
        all = false;
        continue;
      }
      places += 1;
      const entry: Entry = { place: places, messages: bundle, holder: undefined };
      (queues[partition] as Entry[]).push(entry);
      count(entry, 1);
      pump(partition);
    }
    return all;
  }

  return {
    get away() {
      return away;
    },
    set away(value) {
      away = value;
      if (away) for (const session of sessions) lose(session);
    },
    get size() {
      return queues.reduce((sum, queue) => sum + queue.length, 0);
    },
    covers: (inbox, seq) => (counts.get(`${inbox}/${seq ?? "wake"}`) ?? 0) > 0,
    hasQueue: (inbox) => exists[partitionOf(inbox, partitions)] === true,
    loseConnection() {
      const open = [...sessions];
      if (open.length > 0) lose(chance.pick(open));
    },
    handOver() {
      const partition = chance.integer(0, partitions - 1);
      draining.add(partition);
      pump(partition);
    },
    moveSeat() {
      const candidates = [...sessions].filter(({ consumer, known, isMoving }) => consumer !== undefined && known && !isMoving);
      if (candidates.length === 0) return;
      const session = chance.pick(candidates);
      world.note(`${session.process.name} moves to another seat`);
      session.isMoving = true;
      const moved = active.map(async (holder, partition) => {
        if (holder !== session) return;
        const giveUp = async (): Promise<void> => {
          const lastAt = await session.process.call("cancel", () => {
            const at = session.arrival[partition] as number;
            if (active[partition] === session) activate(partition);
            return at;
          });
          // What was delivered before it comes before the answer: both go by one channel.
          await new Promise<void>((resolve) => void scheduler.after(lastAt - scheduler.now, resolve));
        };
        try {
          await session.consumer?.onYield(partition, giveUp);
        } catch (error) {
          if (!(error instanceof Away)) throw error; // the connection broke
        }
      });
      void Promise.all(moved).then(() => void (session.isMoving = false));
    },
    cutOffAt: (process, since) => outages.get(process)?.find(({ until }) => until >= since)?.from,
    hasBrought: (process, inbox, seq) =>
      [...known].some((session) => session.process === process && session.brought.has(`${inbox}/${seq}`)),
    wipe() {
      wipes += 1;
      queues.forEach((queue, partition) => {
        queue.length = 0;
        exists[partition] = false;
      });
      counts.clear();
      for (const session of sessions) lose(session);
      onChange();
    },
    open(process, cover) {
      let session: Session | undefined;
      let consumer: ConsumeOptions | undefined;
      let closed = false;

      async function connect(): Promise<void> {
        if (closed) return;
        const begun = wipes;
        try {
          if (await process.call("connect", () => away)) throw new Away("the broker is away");
          // Everything is covered before it is made.
          const missing = exists.flatMap((there, partition) => (there ? [] : [partition]));
          if (missing.length > 0) await cover(missing);
          if (wipes !== begun) throw new Away("the broker was wiped meanwhile");
          for (const partition of missing) exists[partition] = true;
          if (wipes !== begun || away) throw new Away("the broker went away meanwhile");
        } catch (error) {
          if (!(error instanceof Away)) throw error;
          retry();
          return;
        }
        const made: Session = {
          process,
          up: true,
          known: true,
          lostAt: 0,
          consumer,
          isMoving: false,
          arrival: Array.from({ length: partitions }, () => 0),
          brought: new Set(),
          holding: createHolding(partitions, (partition) => consumer?.onMissed(partition)),
          pending: new Set(),
          onEnd() {
            session = undefined;
            consumer?.onLost();
            retry();
          },
        };
        if (!world.keeps) made.holding.stopKeeping();
        session = made;
        const outage = outages.get(process)?.at(-1);
        if (outage !== undefined) outage.until = scheduler.now;
        known.add(made);
        sessions.add(made);
        keepTicking(made);
        attach();
      }

      function retry(): void {
        process.clock.after(RECONNECT_MS * (0.5 + chance.unit()), () => void connect());
      }

      function attach(): void {
        active.forEach((holder, partition) => {
          if (holder === undefined) activate(partition);
        });
      }

      process.onCrash(() => {
        if (session !== undefined) drop(session);
      });
      void connect();

      return {
        get connected() {
          return session !== undefined;
        },
        blocked: false,
        silentMs: () => (session === undefined ? 1e9 : session.up ? 0 : scheduler.now - session.lostAt),
        publish(messages) {
          const current = session;
          if (current === undefined) return Promise.resolve(false);
          return new Promise((resolve) => {
            const settleOnce = (taken: boolean): void => {
              if (current.pending.delete(settleOnce) && process.alive) resolve(taken);
            };
            current.pending.add(settleOnce);
            scheduler.after(latency(world), () => {
              if (!current.up && chance.happens(0.7)) return; // it did not get there
              if (away) return;
              const refused = world.faulty && chance.happens(0.01);
              const some =
                world.faulty && chance.happens(0.02) ? messages.slice(0, chance.integer(0, messages.length)) : messages;
              const taken = !refused && store(some) && some.length === messages.length;
              onChange();
              if (!taken && !refused && current.up) lose(current); // a queue has gone
              scheduler.after(latency(world), () => {
                if (current.up) settleOnce(taken);
              });
            });
          });
        },
        consume(options) {
          consumer = options;
          if (session !== undefined) {
            session.consumer = options;
            attach();
          }
          const leave = (): void => {
            if (session === undefined) return;
            session.consumer = undefined;
            queues.forEach((queue, partition) => {
              for (const entry of queue) if (entry.holder === session) entry.holder = undefined;
              if (active[partition] === session) activate(partition);
              else pump(partition);
            });
          };
          return Promise.resolve({
            stop() {
              session?.holding.stopKeeping();
              consumer = { ...options, prefetch: 0 };
              stopDelivering(session);
              return Promise.resolve();
            },
            held: (partition) => session?.holding.held(partition) ?? 0,
            close() {
              consumer = undefined;
              leave();
              return Promise.resolve();
            },
          });
        },
        notify: () => undefined, // nobody subscribes
        subscribe: () => Promise.reject(new Error("nobody subscribes in the simulation")),
        close() {
          closed = true;
          if (session !== undefined) drop(session);
          return Promise.resolve();
        },
      };
    },
  };

  /**
   * It gets nothing more, and keeps what it holds. Whether others are given the rest before it has settled
   * that is the broker's affair.
   */
  function stopDelivering(session: Session | undefined): void {
    if (session?.consumer === undefined) return;
    session.consumer = { ...session.consumer, prefetch: 0 };
    const atOnce = chance.happens(0.5);
    active.forEach((holder, partition) => {
      if (holder !== session) return;
      if (atOnce) activate(partition);
      else {
        draining.add(partition);
        pump(partition);
      }
    });
  }
}
