import { describe, expect, it } from "vitest";
import { decide } from "./decide.ts";

const NOW = Date.UTC(2026, 10, 28, 12, 0, 0);
const ago = (minutes: number): Date => new Date(NOW - minutes * 60_000);

const lastAt = (minutes: number) => ({ id: "a", content: new Uint8Array(), who: "ada", senderId: 2, at: ago(minutes) });

const notice = {
  waiting: 1,
  last: lastAt(1),
  sentAt: null,
  isUnderWay: false,
  isWanted: true,
  unread: 1,
  windowS: 300,
  quietFrom: null,
  quietUntil: null,
  timeZone: "UTC",
  sentToday: 0,
};

describe("a notice", () => {
  it("is told of what was not read", () => {
    expect(decide(notice, NOW, false)).toEqual({ do: "tell" });
  });

  it("is dropped once it was read, the conversation was muted or left, or it is older than a day", () => {
    const dropped = { do: "drop" };
    expect(decide({ ...notice, unread: 0 }, NOW, false)).toEqual(dropped);
    expect(decide({ ...notice, isWanted: false }, NOW, false)).toEqual(dropped);
    expect(decide({ ...notice, last: lastAt(24 * 60 + 1) }, NOW, false)).toEqual(dropped);
    expect(decide({ ...notice, waiting: 0 }, NOW, false)).toEqual(dropped);
  });

  it("waits for the end of the window", () => {
    expect(decide({ ...notice, sentAt: ago(2) }, NOW, false)).toEqual({ do: "wait", inS: 180 });
    expect(decide({ ...notice, sentAt: ago(5) }, NOW, false)).toEqual({ do: "tell" });
  });

  it("is the only one while its provider is away, and is taken back if it is read meanwhile", () => {
    const underWay = { ...notice, sentAt: ago(60), isUnderWay: true };
    expect(decide({ ...underWay, waiting: 10_000 }, NOW, false)).toEqual({ do: "wait", inS: 30 });
    expect(decide({ ...underWay, unread: 0 }, NOW, false)).toEqual({ do: "withdraw", inS: 0 });
  });

  it.each([
    [11 * 60, 13 * 60, "UTC", 3600],
    [12 * 60, 12 * 60 + 1, "UTC", 60],
    [11 * 60, 12 * 60, "UTC", 0],
    // Over midnight: 12:00 UTC is 21:00 in Tokyo.
    [21 * 60, 7 * 60, "Asia/Tokyo", 10 * 3600],
    [22 * 60, 7 * 60, "Asia/Tokyo", 0],
    [22 * 60, 7 * 60, "UTC", 0],
    // 07:00 in New York, in winter.
    [22 * 60, 7 * 60 + 30, "America/New_York", 1800],
  ])("waits for the end of quiet hours: from %i to %i in %s for %i s", (quietFrom, quietUntil, timeZone, inS) => {
    const decided = decide({ ...notice, quietFrom, quietUntil, timeZone }, NOW, false);
    expect(decided).toEqual(inS === 0 ? { do: "tell" } : { do: "wait", inS });
  });

  it("is taken back where its provider is away until quiet hours begin", () => {
    const underWay = { ...notice, sentAt: ago(60), isUnderWay: true, quietFrom: 11 * 60, quietUntil: 13 * 60 };
    expect(decide(underWay, NOW, false)).toEqual({ do: "withdraw", inS: 3600 });
  });

  it("waits where an address, or the deployment, has had as many as there may be in a day", () => {
    expect(decide({ ...notice, sentToday: 49 }, NOW, false)).toEqual({ do: "tell" });
    expect(decide({ ...notice, sentToday: 50 }, NOW, false)).toEqual({ do: "wait", inS: 3600 });
    expect(decide(notice, NOW, true)).toEqual({ do: "wait", inS: 3600 });
  });
});
