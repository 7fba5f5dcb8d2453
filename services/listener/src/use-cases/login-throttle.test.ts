import { systemClock } from "@messenger/core";
import { beforeEach, describe, expect, it } from "vitest";
import { createLoginThrottle, type LoginThrottle } from "./login-throttle.ts";
import { isLoopback, neighbourhoodOf, networkOf } from "../networks.ts";

describe("the throttle of log-ins", () => {
  let now: number;
  let throttle: LoginThrottle;
  beforeEach(() => {
    now = 0;
    throttle = createLoginThrottle({ ...systemClock, monotonic: () => now });
  });

  const tryAs = (ip: string, isRight = false, isFamiliar = false, account = "bob"): Promise<string> =>
    throttle
      .attempt({ ip, account, isFamiliar }, () => Promise.resolve(isRight ? "in" : null))
      .then(
        (result) => result ?? "wrong",
        (error: { code: string }) => error.code,
      );

  it("lets an account be guessed at ten times from a network in five minutes, and then again", async () => {
    for (let n = 0; n < 10; n += 1) expect(await tryAs(`2001:db8::${n}`)).toBe("wrong");
    expect(await tryAs("2001:db8::ffff", true)).toBe("too_many_attempts");
    expect(await tryAs("2001:db8:0:1::1", true)).toBe("in");
    now = 5 * 60_000;
    expect(await tryAs("2001:db8::1", true)).toBe("in");
  });

  it("counts attempts that are under way, and none that succeed", async () => {
    const gate = Promise.withResolvers<null>();
    const guesses = Array.from({ length: 30 }, () =>
      throttle
        .attempt({ ip: "192.0.2.1", account: "bob", isFamiliar: false }, () => gate.promise)
        .catch((error: { code: string }) => error.code),
    );
    gate.resolve(null);
    expect((await Promise.all(guesses)).filter((outcome) => outcome === null)).toHaveLength(10);
    for (let n = 0; n < 200; n += 1) expect(await tryAs("192.0.2.2", true)).toBe("in");
  });

  it("leaves an account one guess for each neighbourhood once it is guessed at from everywhere, and its owner's alone", async () => {
    let guesses = 0;
    for (let n = 0; n < 1_000; n += 1) {
      for (let m = 0; m < 3; m += 1) if ((await tryAs(`2001:db8:${(n % 100).toString(16)}:${n}::${m}`)) === "wrong") guesses += 1;
    }
    // 50 until it is noticed, and one for each of 100 times /48.
    expect(guesses).toBeLessThanOrEqual(150);
    expect(await tryAs("198.51.100.7", true, true)).toBe("in");
    // A stranger locks nobody out: from a new network, one try.
    expect(await tryAs("203.0.113.1", true)).toBe("in");
    expect(await tryAs("198.51.100.9", true, false, "carol")).toBe("in");
  });

  it("refuses by memory what it would refuse, for a minute, and nobody whose neighbourhood is familiar", async () => {
    const attempt = { ip: "192.0.2.1", account: "7", isFamiliar: false };
    const refusalOf = (ip: string): string | boolean => {
      try {
        return throttle.checkRemembered(ip, "bob");
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(refusalOf("192.0.2.1")).toBe(false);
    throttle.remember("bob", attempt);
    expect(refusalOf("192.0.2.1")).toBe(true);
    for (let n = 0; n < 60; n += 1) expect(await tryAs(`10.1.${n}.1`, false, false, "7")).toBe("wrong");
    expect(refusalOf("192.0.2.1")).toBe(true); // one guess
    expect(await tryAs("192.0.2.9", false, false, "7")).toBe("wrong");
    expect(refusalOf("192.0.2.1")).toBe("too_many_attempts");
    expect(refusalOf("198.51.100.1")).toBe(false); // who knows
    now = 60_001;
    expect(refusalOf("192.0.2.1")).toBe(false);
    throttle.remember("bob", attempt);
    throttle.remember("bob", { ...attempt, isFamiliar: true });
    expect(refusalOf("192.0.2.1")).toBe(false);
  });
});

describe("networks", () => {
  it.each([
    ["192.0.2.77", "192.0.2.77/32", "192.0.2.0/24"],
    ["::ffff:192.0.2.77", "192.0.2.77/32", "192.0.2.0/24"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"],
    ["2001:db8::1", "2001:db8::/64", "2001:db8::/48"],
  ])("of %s", (ip, network, neighbourhood) => {
    expect([networkOf(ip), neighbourhoodOf(ip)]).toEqual([network, neighbourhood]);
  });

  it("knows this machine", () => {
    expect(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.0.0.1", "::"].map(isLoopback)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});
