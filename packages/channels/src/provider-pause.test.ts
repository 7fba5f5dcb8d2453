import { systemClock } from "@messenger/core";
import { describe, expect, it } from "vitest";
import type { PushResult } from "./channel.ts";
import { createProviderPause } from "./provider-pause.ts";

const DOWN: PushResult = { result: "transient", code: "ECONNREFUSED", isProvidersFault: true };
const TAKEN: PushResult = { result: "delivered" };

describe("a provider that is down", () => {
  it("is left alone after three failures, tried by one push after each pause, and all go on once it is up", async () => {
    let now = 0;
    let answer = DOWN;
    let attempts = 0;
    const pause = createProviderPause({ ...systemClock, monotonic: () => now });
    const push = (): Promise<PushResult> =>
      pause.attempt(() => {
        attempts += 1;
        return Promise.resolve(answer);
      });
    // Ten at once are one outage, and not the reason for a longer pause.
    now = 1;
    const first = await Promise.all(Array.from({ length: 10 }, push));
    expect([attempts, first.filter(({ code }) => code === "ECONNREFUSED").length]).toEqual([10, 10]);
    expect(await push()).toMatchObject({ code: "EPROVIDER", isAttempt: false, retryAfterMs: 5_000 });
    now += 5_000;
    expect((await Promise.all([push(), push()])).map(({ code }) => code)).toEqual(["ECONNREFUSED", "EPROVIDER"]);
    expect(await push()).toMatchObject({ retryAfterMs: 15_000 });
    now += 15_000;
    answer = TAKEN;
    expect(await push()).toEqual(TAKEN);
    expect(await Promise.all([push(), push(), push()])).toEqual([TAKEN, TAKEN, TAKEN]);
  });

  it("is not down for what is an address' own failure", async () => {
    const pause = createProviderPause(systemClock);
    for (let n = 0; n < 10; n += 1) await pause.attempt(() => Promise.resolve({ result: "transient", status: 450 }));
    expect(await pause.attempt(() => Promise.resolve(TAKEN))).toEqual(TAKEN);
  });
});
