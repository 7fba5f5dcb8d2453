import { systemClock } from "@messenger/core";
import { expect, it } from "vitest";
import { startRevocations } from "./revocations.ts";

it("reads the store before it says that it knows nothing, where this process had no time to", async () => {
  let skew = 0;
  let isAway = false;
  const revocations = await startRevocations({
    recentRevocations: () => (isAway ? Promise.reject(new Error("away")) : Promise.resolve([7])),
    ttlSeconds: 60,
    clock: { ...systemClock, monotonic: () => systemClock.monotonic() + skew, after: () => ({ cancel: () => undefined }) },
    onError: () => undefined,
  });
  expect([revocations.fresh, revocations.has(7)]).toEqual([true, true]);
  skew = 10_000;
  expect(revocations.fresh).toBe(false);
  expect(await revocations.freshen()).toBe(true);
  skew = 20_000;
  isAway = true;
  expect(await revocations.freshen()).toBe(false);
});
