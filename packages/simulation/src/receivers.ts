import type { Channel, PushResult } from "@messenger/channels";
import { latency, type Process, Violation, type World } from "./world.ts";

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

/** What an address took of an event. */
interface Took {
  lastAt: number;
}

export interface Receivers {
  /** Changes how an address behaves. */
  changeMood(): void;
  took(address: string, seq: number): Took | undefined;
  /** The pushes of one process. `onPush` is told of each before it begins. */
  channelOf(process: Process, onPush: (address: string) => void): Channel;
  readonly pushes: number;
  readonly repeats: number;
}

const LIMIT_MS = 10_000;
const TRIES = 3;

/** `isFor` says whether an event of an inbox is one that the address takes. */
export function createReceivers(
  world: World,
  addresses: readonly string[],
  isFor: (address: string, seq: number) => boolean,
): Receivers {
  const { scheduler, chance } = world;
  const moods = new Map<string, Mood>(addresses.map((address) => [address, "well"]));
  const taken = new Map<string, Took>();
  const rejections = new Map<string, number>();
  /** Every event up to here was taken, put aside, or is not for the address. */
  const reached = new Map<string, number>();
  let pushes = 0;
  let repeats = 0;

  function take(address: string, seq: number): void {
    const key = `${address}#${seq}`;
    const before = taken.get(key);
    if (before !== undefined) {
      repeats += 1;
      before.lastAt = scheduler.now;
      return;
    }
    for (let between = (reached.get(address) ?? 0) + 1; between < seq; between += 1) {
      const known = taken.has(`${address}#${between}`) || !isFor(address, between);
      if (!known && (rejections.get(`${address}#${between}`) ?? 0) < TRIES) {
        throw new Violation(`${address} took ${seq} before ${between}`);
      }
    }
    reached.set(address, Math.max(reached.get(address) ?? 0, seq));
    taken.set(key, { lastAt: scheduler.now });
  }

  /** What happens where the push arrives, and what the sender hears of it; undefined for nothing. */
  function answer(address: string, seq: number): PushResult | undefined {
    const mood = world.faulty ? (moods.get(address) as Mood) : "well";
    switch (mood) {
      case "well":
      case "slow":
        take(address, seq);
        return { kind: "answered", status: 204 };
      case "failing":
        return { kind: "answered", status: chance.pick([500, 503, 429]) };
      case "rejecting":
        rejections.set(`${address}#${seq}`, (rejections.get(`${address}#${seq}`) ?? 0) + 1);
        return { kind: "answered", status: 400 };
      case "unreachable":
        return { kind: "failed", error: "ECONNREFUSED" };
      case "losing answers":
        take(address, seq);
        return chance.happens(0.5) ? { kind: "failed", error: "ECONNRESET" } : undefined;
      case "silent":
        if (chance.happens(0.5)) take(address, seq);
        return undefined;
    }
  }

  return {
    changeMood: () => void moods.set(chance.pick(addresses), chance.pick(MOODS)),
    took: (address, seq) => taken.get(`${address}#${seq}`),
    channelOf: (process, onPush) => ({
      name: "simulated",
      prepare: (address) => ({ origin: address, path: "/", refusal: undefined }),
      push({ target, body }) {
        const address = target.origin;
        const { seq } = JSON.parse(Buffer.from(body).toString()) as { seq: number };
        pushes += 1;
        onPush(address);
        world.note(`${process.name} pushes ${seq} to ${address}`);
        return new Promise((resolve) => {
          let settled = false;
          const settle = (result: PushResult): void => {
            if (settled || !process.alive) return;
            settled = true;
            resolve(result);
          };
          const slow = moods.get(address) === "slow" && world.faulty ? chance.unit() * 9_000 : 0;
          scheduler.after(Math.min(latency(world), LIMIT_MS) + slow, () => {
            const result = answer(address, seq);
            world.note(`${address} answers ${seq}: ${JSON.stringify(result ?? null)}`);
            if (result !== undefined) scheduler.after(latency(world), () => settle(result));
          });
          scheduler.after(LIMIT_MS, () => settle({ kind: "failed", error: "ETIMEDOUT" }));
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
