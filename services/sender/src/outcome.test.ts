import { describe, expect, it } from "vitest";
import type { PushResult } from "@messenger/channels";
import { judge, type Standing } from "./outcome.ts";

const WELL: Standing = { failures: 0, serverErrors: 0, rejections: 0, rejectedAt: null, failingSince: null };
const AT = { now: 1_000_000_000_000, unit: 0.5 };
const DAY = 24 * 60 * 60 * 1000;
/** As the webhook channel reads an answer. */
function answered(status: number, retryAfterMs?: number): PushResult {
  const more = { status, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  if (status < 300) return { result: "delivered", ...more };
  if (status === 410) return { result: "gone", ...more };
  if (status === 400 || status === 422) return { result: "rejected", ...more };
  return { result: "transient", ...more, mayBeTheEvent: status === 500 || status === 501 };
}

describe("an attempt", () => {
  it("that is delivered forgets all failures", () => {
    const before = { failures: 3, serverErrors: 2, rejections: 1, rejectedAt: 7, failingSince: 5 };
    const standing = { ...WELL, rejectedAt: 7 };
    expect(judge(answered(204), before, AT)).toEqual({ outcome: "delivered", verdict: { next: "advance" }, standing });
  });

  it("that came to nothing for now is tried again", () => {
    expect(judge(answered(503), WELL, AT)).toMatchObject({
      outcome: "transient",
      verdict: { next: "retry", inMs: 1_000 },
      standing: { failures: 1, failingSince: AT.now },
    });
  });

  it("is not the address' failure where the provider is at fault: it is as it was, and tried again in a quarter of a minute", () => {
    const before = { ...WELL, failures: 2, failingSince: AT.now - 4.9 * DAY };
    const outage = { result: "transient", code: "ECONNREFUSED", isProvidersFault: true } as const;
    expect(judge(outage, before, { ...AT, unit: 0 })).toEqual({
      outcome: "transient",
      verdict: { next: "retry", inMs: 15_000 },
      standing: before,
    });
    expect(judge({ ...outage, retryAfterMs: 60_000 }, before, { ...AT, unit: 0 }).verdict).toEqual({
      next: "retry",
      inMs: 60_000,
    });
  });

  it("that no further try can mend is a dead letter at once", () => {
    const { verdict, standing } = judge({ result: "rejected", status: 550, detail: "no such mailbox", isFinal: true }, WELL, AT);
    expect(verdict).toEqual({ next: "bury", reason: "no such mailbox" });
    expect(standing.failures).toBe(0);
  });

  it("backs off by steps, and by the last of them for ever", () => {
    const delays = Array.from({ length: 11 }, (_, failures) => {
      const { verdict } = judge({ result: "transient", code: "ECONNREFUSED" }, { ...WELL, failures, failingSince: AT.now }, AT);
      return verdict.next === "retry" ? verdict.inMs / 1000 : verdict;
    });
    expect(delays).toEqual([1, 5, 30, 120, 600, 1800, 3600, 7200, 14_400, 14_400, 14_400]);
  });

  it("jitters by a fifth either way", () => {
    const delay = (unit: number) => judge(answered(503), { ...WELL, failures: 2, failingSince: 1 }, { now: 2, unit }).verdict;
    expect([delay(0), delay(0.999_999)]).toEqual([
      { next: "retry", inMs: 24_000 },
      { next: "retry", inMs: 36_000 },
    ]);
  });

  it.each([
    [500, 1_000],
    [90_000, 90_000],
    [10 * DAY, 3_600_000],
  ])("follows a Retry-After of %i ms, if it is longer, up to an hour", (asked, inMs) => {
    expect(judge(answered(429, asked), WELL, AT).verdict).toEqual({ next: "retry", inMs });
  });

  it("is put aside after 20 answers of 500 or 501, and the endpoint still counts as failing", () => {
    expect(judge(answered(500), { ...WELL, failures: 18, serverErrors: 18, failingSince: AT.now }, AT).verdict.next).toBe(
      "retry",
    );
    const { verdict, standing } = judge(answered(501), { ...WELL, failures: 19, serverErrors: 19, failingSince: AT.now }, AT);
    expect(verdict).toMatchObject({ next: "bury" });
    expect(standing).toMatchObject({ failures: 20, serverErrors: 0, failingSince: AT.now });
  });

  it.each([502, 503, 504])("is never put aside for %i", (status) => {
    expect(judge(answered(status), { ...WELL, failures: 99, serverErrors: 19, failingSince: AT.now }, AT).verdict.next).toBe(
      "retry",
    );
  });

  it("that is rejected has three tries over ten minutes or more, then it is a dead letter", () => {
    for (const unit of [0, 0.999]) {
      let standing: Standing = WELL;
      let now = AT.now;
      const nexts = [1, 2, 3].map(() => {
        const judgement = judge(answered(400), standing, { now, unit });
        standing = judgement.standing;
        if (judgement.verdict.next === "retry") now += judgement.verdict.inMs;
        return judgement.verdict.next;
      });
      expect(nexts).toEqual(["retry", "retry", "bury"]);
      expect(now - AT.now).toBeGreaterThanOrEqual(10 * 60_000);
      // Nothing was taken: it counts as failing until something is.
      expect(standing).toMatchObject({ failures: 3, rejections: 0, rejectedAt: now, failingSince: AT.now });
    }
  });

  it("that is rejected within an hour of another one is tried for some seconds: nobody holds up an endpoint with what it rejects", () => {
    let standing: Standing = { ...WELL, rejectedAt: AT.now - 59 * 60_000 };
    const verdicts = [1, 2, 3].map(() => {
      const judgement = judge(answered(422), standing, AT);
      standing = judgement.standing;
      return judgement.verdict;
    });
    expect(verdicts).toMatchObject([{ inMs: 1_000 }, { inMs: 4_000 }, { next: "bury", reason: "answered 422 3 times" }]);
  });

  it("is told of a day before the endpoint is switched off, and never while something is taken", () => {
    const failing = { ...WELL, failures: 30, failingSince: AT.now - 3.9 * DAY };
    expect(judge(answered(503), failing, AT).disabledAt).toBeUndefined();
    const since = AT.now - 4.1 * DAY;
    expect(judge(answered(404), { ...failing, failingSince: since }, AT).disabledAt).toBe(since + 5 * DAY);
    expect(judge(answered(204), { ...failing, failingSince: since }, AT).disabledAt).toBeUndefined();
    // Five days of rejected events only: nothing was taken.
    const rejecting = { ...failing, failingSince: AT.now - 5 * DAY, rejectedAt: AT.now };
    expect(judge(answered(400), rejecting, AT).verdict).toMatchObject({ next: "off" });
  });

  it("answered 410, refused by policy, or failing for 5 days switches the endpoint off", () => {
    expect(judge(answered(410), WELL, AT)).toMatchObject({ outcome: "gone", verdict: { next: "off" } });
    expect(judge({ result: "blocked", code: "BLOCKED", detail: "not public" }, WELL, AT)).toMatchObject({
      outcome: "blocked",
      verdict: { next: "off", reason: "not public" },
    });
    const failing = { ...WELL, failures: 30, failingSince: AT.now - 5 * DAY };
    expect(judge({ result: "transient", code: "ETIMEDOUT" }, failing, AT)).toMatchObject({
      outcome: "gone",
      verdict: { next: "off" },
    });
    expect(
      judge({ result: "transient", code: "ETIMEDOUT" }, { ...failing, failingSince: AT.now - 4.9 * DAY }, AT).verdict.next,
    ).toBe("retry");
  });
});
