import { describe, expect, it } from "vitest";
import { readSettings } from "@messenger/runtime";
import { rateLimitsSetting } from "./rate-limits.ts";

const read = (text: string) => readSettings({ limits: rateLimitsSetting }, { RATE_LIMITS: text }).limits;

describe("RATE_LIMITS", () => {
  it("limits users by default, but not this machine itself", () => {
    expect(read("")).toMatchObject({ standard: { send: 3_000, read: 6_000 }, countsLoopback: false });
  });

  it("changes what it names, for plans too, and holds for everybody then", () => {
    const { standard, plans, countsLoopback } = read("send=1, read=10,edit=3,bulk:send=60000");
    expect(standard).toEqual({ send: 1, read: 10, edit: 3, other: 3_000, unanswered: 1_000 });
    expect(plans.get("bulk")).toEqual({ send: 60_000, read: 10, edit: 3, other: 3_000, unanswered: 1_000 });
    expect(countsLoopback).toBe(true);
  });

  it("can be off", () => expect(read("off").standard).toBeUndefined());

  it.each([
    "send",
    "send=0",
    "send=-1",
    "send=1.5",
    "sending=5",
    "send=10000001",
    "Bulk:send=5",
    "send=5;read=6",
    ":send=5",
    "bulk:unanswered=5",
  ])("refuses %s, and says what is expected", (text) =>
    expect(() => read(text)).toThrow(/RATE_LIMITS: off, or requests in a minute such as send=600/u),
  );
});
