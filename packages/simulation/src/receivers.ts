import type { Channel, PushResult } from "@messenger/channels";
import { leaseMs } from "@messenger/store";
import { latency, type Process, Violation, type World } from "./world.ts";

/** What the world says of a push that begins. */
export interface Beginning {
  /** Since when the lease is the sender's; undefined where it is not. */
  leasedAt: number | undefined;
  /**
   * When the broker first lost the sender's connection, of the times that it had none since; undefined where
   * it always had one.
   */
  cutOffAt: (since: number) => number | undefined;
}

/** An event as it arrives. */
interface Pushed {
  address: string;
  seq: number;
  id: string;
  startedAt: number;
}

/** A push that has begun and not ended. */
interface UnderWay extends Beginning {
  process: Process;
  seq: number;
  startedAt: number;
}

/** How an address behaves for a while. */
type Mood = "well" | "slow" | "failing" | "rejecting" | "unreachable" | "losing answers" | "silent";
const MOODS: readonly Mood[] = [
  "well",
  "well",
  "well",
  "slow",
  "failing",
  "rejecting",
  "unreachable",
  "losing answers",
  "silent",
];
/** Where nothing fails. */
const CALM_MOODS: readonly Mood[] = ["well", "slow", "slow"];

/** What an address took of an event. */
interface Took {
  lastAt: number;
}

export interface Receivers {
  /** Changes how an address behaves. */
  changeMood(): void;
  took(address: string, seq: number): Took | undefined;
  /**
   * The log goes on from here: what came later may be something else. Some log-ins are forgotten, and where
   * they began; a sender may go on from there until it reads the endpoints anew.
   */
  failOver(headOf: (address: string) => number, forgotLogIn: (address: string) => boolean): void;
  /** The pushes of one process. `begin` is told of each before it begins. */
  channelOf(process: Process, begin: (address: string, seq: number) => Beginning): Channel;
  readonly pushes: number;
  readonly repeats: number;
}

const TRIES = 3;

/**
 * `isFor` says whether an event of an inbox is one that the address takes; `idOf` gives the event's id,
 * undefined where it is not in the log (any more). `mostInFlight` says how many pushes to an address may be under way.
 */
export function createReceivers(
  world: World,
  addresses: readonly string[],
  isFor: (address: string, seq: number) => boolean,
  idOf: (address: string, seq: number) => string | undefined,
  mostInFlight: (address: string) => number,
): Receivers {
  const { scheduler, chance } = world;
  const limitMs = world.timeoutS * 1_000;
  const moods = new Map<string, Mood>(addresses.map((address) => [address, "well"]));
  const taken = new Map<string, Took>();
  const rejections = new Map<string, number>();
  /** Every event up to here was taken, put aside, or is not for the address; with several in flight, but for these. */
  const reached = new Map<string, number>();
  const underWay = new Map<string, UnderWay[]>();
  let pushes = 0;
  let repeats = 0;

  const keyOf = (address: string, seq: number): string => `${address}#${idOf(address, seq)}`;

  let failedOverAt = Number.NEGATIVE_INFINITY;
  /** Of addresses whose last log-in was forgotten. */
  const excusedUntil = new Map<string, number>();

  /**
   * One push at a time, or as many as the endpoint takes, of one sender. Two that cannot be called back are excused: of a sender whose connection the broker
   * lost before it had the lease, and one whose lease the database forgot.
   */
  function checkAlone(address: string, mine: UnderWay): void {
    const others = (underWay.get(address) ?? []).filter(({ process }) => process.alive);
    underWay.set(address, [...others, mine]);
    const together = others.filter(({ process }) => process === mine.process);
    if (together.length > 0 && together.length < mostInFlight(address) && together.length === others.length) return;
    for (const other of others) {
      const isExcused = [other, mine].some(({ leasedAt = Number.POSITIVE_INFINITY, startedAt, cutOffAt }) => {
        const at = cutOffAt(startedAt);
        return at !== undefined && at <= leasedAt;
      });
      if (isExcused || scheduler.now - failedOverAt < leaseMs(world.timeoutS)) continue;
      const what = `${mine.process.name} pushes ${mine.seq} to ${address}`;
      throw new Violation(`${what} while ${other.process.name} pushes ${other.seq}`);
    }
  }

  function take({ address, seq, id, startedAt }: Pushed): void {
    if (idOf(address, seq) !== id) return; // of a log that is no more
    const key = keyOf(address, seq);
    const before = taken.get(key);
    if (before !== undefined) {
      repeats += 1;
      before.lastAt = scheduler.now;
      return;
    }
    // It began when it was another's turn, perhaps: of a log that is no more.
    if (startedAt <= Math.max(failedOverAt, excusedUntil.get(address) ?? 0)) {
      taken.set(key, { lastAt: scheduler.now });
      return;
    }
    taken.set(key, { lastAt: scheduler.now });
    const most = mostInFlight(address);
    const missing: number[] = [];
    let contiguous = reached.get(address) ?? 0;
    for (let at = contiguous + 1; at <= seq; at += 1) {
      const isKnown = taken.has(keyOf(address, at)) || !isFor(address, at) || (rejections.get(keyOf(address, at)) ?? 0) >= TRIES;
      if (!isKnown) missing.push(at);
      else if (missing.length === 0) contiguous = at;
    }
    if (missing.length >= most) throw new Violation(`${address} took ${seq} before ${missing.join()}`);
    reached.set(address, contiguous);
  }

  /** What happens where the push arrives, and what the sender hears of it; undefined for nothing. */
  function answer(push: Pushed): PushResult | undefined {
    const { address, seq } = push;
    const mood = world.faulty || world.calm ? (moods.get(address) as Mood) : "well";
    switch (mood) {
      case "well":
      case "slow":
        take(push);
        return { result: "delivered", status: 204 };
      case "failing": {
        const status = chance.pick([500, 503, 429]);
        return { result: "transient", status, mayBeTheEvent: status === 500 };
      }
      case "rejecting":
        if (world.windowed && chance.happens(0.3)) {
          rejections.set(keyOf(address, seq), TRIES);
          return { result: "rejected", status: 400, isFinal: true };
        }
        rejections.set(keyOf(address, seq), (rejections.get(keyOf(address, seq)) ?? 0) + 1);
        return { result: "rejected", status: 400 };
      case "unreachable":
        return { result: "transient", code: "ECONNREFUSED" };
      case "losing answers":
        take(push);
        return chance.happens(0.5) ? { result: "transient", code: "ECONNRESET" } : undefined;
      case "silent":
        if (chance.happens(0.5)) take(push);
        return undefined;
    }
  }

  return {
    changeMood: () => void moods.set(chance.pick(addresses), chance.pick(world.calm ? CALM_MOODS : MOODS)),
    took: (address, seq) => taken.get(keyOf(address, seq)),
    failOver(headOf, forgotLogIn) {
      failedOverAt = scheduler.now;
      for (const address of addresses)
        if (forgotLogIn(address)) excusedUntil.set(address, scheduler.now + leaseMs(world.timeoutS));
      for (const [address, seq] of reached) reached.set(address, Math.min(seq, headOf(address)));
    },
    channelOf: (process, begin) => ({
      name: "webhook",
      vet: () => undefined,
      laneKey: (address) => address,
      prepare: ({ address }) => ({ address }),
      push({ target: { address }, event: { seq, id } }) {
        pushes += 1;
        const mine: UnderWay = { process, seq, startedAt: scheduler.now, ...begin(address, seq) };
        world.note(
          `${process.name} pushes ${seq} (…${id.slice(-4)}) to ${address}${mine.leasedAt !== undefined ? ", leased" : ""}`,
        );
        return new Promise((resolve) => {
          let settled = false;
          const settle = (result: PushResult): void => {
            if (settled || !process.alive) return;
            settled = true;
            underWay.set(
              address,
              (underWay.get(address) ?? []).filter((one) => one !== mine),
            );
            resolve(result);
          };
          world.check(() => checkAlone(address, mine));
          const slow = moods.get(address) === "slow" && (world.faulty || world.calm) ? chance.unit() * 9_000 : 0;
          scheduler.after(Math.min(latency(world), limitMs) + slow, () => {
            const result = answer({ address, seq, id, startedAt: mine.startedAt });
            world.note(`${address} answers ${seq}: ${JSON.stringify(result ?? null)}`);
            if (result !== undefined) scheduler.after(latency(world), () => settle(result));
          });
          scheduler.after(limitMs, () => settle({ result: "transient", code: "ETIMEDOUT" }));
        });
      },
      close: () => Promise.resolve(),
    }),
    get pushes() {
      return pushes;
    },
    get repeats() {
      return repeats;
    },
  };
}
