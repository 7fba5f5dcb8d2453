import type { PushResult } from "@messenger/channels";
import { delayAfterFailure } from "@messenger/core";

/** How an endpoint has been doing; kept with it in the store. */
export interface Standing {
  /** Failed attempts since something was taken. */
  failures: number;
  /** Of the next event: attempts answered by 500 or 501. */
  serverErrors: number;
  /** Of the next event: attempts that were rejected. */
  rejections: number;
  /** When an event was last made a dead letter because it was rejected, in milliseconds since the epoch. */
  rejectedAt: number | null;
  /** Since when nothing was taken, in milliseconds since the epoch; null unless `failures` > 0. */
  failingSince: number | null;
}

type Outcome = "delivered" | "transient" | "rejected" | "gone" | "refused";

/** What follows from an attempt. */
type Verdict =
  /** The event was taken: on to the next. */
  | { next: "advance" }
  /** The event will never be taken: it becomes a dead letter, and the next one follows. */
  | { next: "bury"; reason: string }
  | { next: "retry"; inMs: number }
  /** Push nothing more to this endpoint. */
  | { next: "off"; reason: string };

export interface Judgement {
  outcome: Outcome;
  verdict: Verdict;
  standing: Standing;
  /**
   * When the endpoint is disabled, in milliseconds since the epoch, if that is less than a day away and
   * nothing is taken until then.
   */
  disabledAt?: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * Between the tries of an event that is rejected. The first one within an hour is tried for ten minutes and
 * more: a deploy of the receiver may reject everything for so long. Those that follow are tried for some
 * seconds, so that nobody can hold up an endpoint with messages that it rejects.
 */
const REJECTED_FIRST_MS: readonly number[] = [3 * MINUTE, 10 * MINUTE];
const REJECTED_AGAIN_MS: readonly number[] = [1 * SECOND, 4 * SECOND];
const REJECTED_WITHIN_MS = HOUR;
const SERVER_ERRORS_TO_BURY = 20;
const GONE_AFTER_MS = 5 * DAY;
const WARNED_BEFORE_MS = DAY;

const GONE = 410;
/**
 * What may be about the event itself: every other 4xx is the endpoint's state, as a deploy or an expired key
 * makes it.
 */
const ABOUT_THE_EVENT = new Set([400, 406, 411, 413, 414, 415, 422, 431]);
/** The event itself may be what the receiver stumbles over. 502, 503 and 504 are the endpoint's state. */
const STUMBLES = new Set([500, 501]);

function outcomeOf(result: PushResult): Outcome {
  if (result.kind === "refused") return "refused";
  if (result.kind === "failed") return "transient";
  const { status } = result;
  if (status >= 200 && status < 300) return "delivered";
  if (status === GONE) return "gone";
  return ABOUT_THE_EVENT.has(status) ? "rejected" : "transient";
}

/**
 * The only place where it is decided what an attempt's result means. `now` is in milliseconds since the
 * epoch, `unit` in [0, 1) for jitter.
 */
export function judge(result: PushResult, before: Standing, at: { now: number; unit: number }): Judgement {
  const outcome = outcomeOf(result);
  const failed: Standing = { ...before, failures: before.failures + 1, failingSince: before.failingSince ?? at.now };
  const disabledAt = (failed.failingSince ?? at.now) + GONE_AFTER_MS;
  const warning = disabledAt - at.now <= WARNED_BEFORE_MS ? { disabledAt } : undefined;

  /** Another try, unless nothing was taken for too long. */
  function retryIn(inMs: number, standing: Standing): Judgement {
    if (at.now >= disabledAt)
      return { outcome: "gone", verdict: { next: "off", reason: "nothing was taken for 5 days" }, standing };
    return { outcome, verdict: { next: "retry", inMs }, standing, ...warning };
  }

  function backOff(standing: Standing): Judgement {
    const retryAfterMs = result.kind === "answered" ? result.retryAfterMs : undefined;
    return retryIn(delayAfterFailure(standing.failures, at.unit, retryAfterMs), standing);
  }

  /** The next event follows, though nothing was taken: it does not begin at the first step of the back-off. */
  function bury(reason: string, standing: Standing): Judgement {
    return { outcome, verdict: { next: "bury", reason }, standing: { ...standing, serverErrors: 0, rejections: 0 }, ...warning };
  }

  switch (outcome) {
    case "delivered": {
      const { rejectedAt } = before;
      return {
        outcome,
        verdict: { next: "advance" },
        standing: { failures: 0, serverErrors: 0, rejections: 0, rejectedAt, failingSince: null },
      };
    }
    case "refused":
      return {
        outcome,
        verdict: { next: "off", reason: result.kind === "refused" ? result.reason : outcome },
        standing: failed,
      };
    case "gone":
      return { outcome, verdict: { next: "off", reason: "the address answered 410 Gone" }, standing: failed };
    case "transient": {
      if (result.kind !== "answered" || !STUMBLES.has(result.status)) return backOff(failed);
      const serverErrors = before.serverErrors + 1;
      if (serverErrors < SERVER_ERRORS_TO_BURY) return backOff({ ...failed, serverErrors });
      return bury(`answered ${result.status} ${serverErrors} times`, failed);
    }
    case "rejected": {
      const rejections = before.rejections + 1;
      const isFirst = before.rejectedAt === null || at.now - before.rejectedAt >= REJECTED_WITHIN_MS;
      const delayMs = (isFirst ? REJECTED_FIRST_MS : REJECTED_AGAIN_MS)[rejections - 1];
      if (delayMs !== undefined) return retryIn(Math.round(delayMs * (0.8 + 0.4 * at.unit)), { ...failed, rejections });
      const status = result.kind === "answered" ? result.status : 0;
      return bury(`answered ${status} ${rejections} times`, { ...failed, rejectedAt: at.now });
    }
  }
}
