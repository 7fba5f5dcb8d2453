import { systemClock } from "@messenger/core";
import type { Drawn } from "@messenger/store";
import { expect, it } from "vitest";
import { createRequestCounts } from "./request-counts.ts";

const MINUTE_MS = 60_000;
let now = 0;
const clock = { ...systemClock, monotonic: () => now };

/** What the database does, for one key, with a clock that is not the listener's. */
function openDatabase(isAway = () => false) {
  let window = -1;
  let used = 0;
  let statements = 0;
  return {
    get statements() {
      return statements;
    },
    draw: async ({ most, windowMs }: { most: number; windowMs: number }, block: number): Promise<Drawn> => {
      await Promise.resolve();
      if (isAway()) throw new Error("away");
      statements += 1;
      const here = now + 17_000;
      if (Math.floor(here / windowMs) !== window) [window, used] = [Math.floor(here / windowMs), 0];
      const granted = Math.max(0, Math.min(block, most - used));
      used += granted;
      return { granted, used, msLeft: windowMs - (here % windowMs) };
    },
  };
}

const of = { key: "send u 1", windowMs: MINUTE_MS, most: 600 };

it("lets exactly a limit through that three listeners share, with one statement for 30 requests", async () => {
  const database = openDatabase();
  const listeners = Array.from({ length: 3 }, () => createRequestCounts({ draw: database.draw, clock }));
  const burst = () =>
    Promise.all(Array.from({ length: 3_000 }, async (_, n) => (await listeners[n % 3]?.count(of))?.current ?? 0));
  const first = await burst();
  expect(first.filter((current) => current <= of.most)).toHaveLength(600);
  expect(database.statements).toBeLessThanOrEqual(600 / 20);
  const after = database.statements;
  await burst();
  expect(database.statements).toBe(after); // who has no more is not asked about again

  now += MINUTE_MS;
  expect((await burst()).filter((current) => current <= of.most)).toHaveLength(600);
});

it("counts up to the limit, and says when the window ends", async () => {
  const counts = createRequestCounts({ draw: openDatabase().draw, clock });
  const most = { ...of, key: "edit u 1", most: 3 };
  const counted = [];
  for (let n = 0; n < 5; n += 1) counted.push(await counts.count(most));
  expect(counted.map(({ current }) => current)).toEqual([1, 2, 3, 4, 4]);
  for (const { ttl } of counted) expect(ttl).toBe(MINUTE_MS - ((now + 17_000) % MINUTE_MS));
});

it("fails where the database is away, and goes on once it is back", async () => {
  let away = true;
  const counts = createRequestCounts({ draw: openDatabase(() => away).draw, clock });
  await expect(Promise.all([counts.count(of), counts.count(of)])).rejects.toThrow("away");
  away = false;
  expect((await counts.count(of)).current).toBeLessThanOrEqual(of.most);
});
