import type { PushResult } from "@messenger/channels";
import { delayAfterFailure } from "@messenger/core";

/** What is known of how an endpoint has been doing; kept with it in the store. */
export interface Standing {
  /** Failed attempts in a row. */
  failures: number;
  /** Of the next event: attempts answered by 500 or 501. */
  serverErrors: number;
  /** Of the next event: attempts that were rejected. */
  rejections: number;
  /** The event before was rejected, too. */
  rejectedBefore: boolean;
  /** Milliseconds since the epoch; null unless `failures` > 0. */
  failingSince: number | null;
}

type Outcome = "delivered" | "transient" | "rejected" | "gone" | "refused";

/** What follows from an attempt. */
type Verdict =
  /** The event was taken: on to the next. */
  | { next: "advance" }
  /** The event will never be taken: put it aside, and on to the next. */
  | { next: "bury"; reason: string }
  | { next: "retry"; inMs: number }
  /** Push nothing more to this endpoint. */
  | { next: "off"; reason: string };

export interface Judgement {
  outcome: Outcome;
  verdict: Verdict;
  standing: Standing;
}

const QUICK_RETRY_MS = 1_000;
const QUICK_TRIES = 3;
const SERVER_ERRORS_TO_BURY = 20;
const GONE_AFTER_MS = 5 * 24 * 60 * 60 * 1000;

const GONE = 410;
/** Request Timeout, Too Early, Too Many Requests: the request is in order, the moment is not. */
const PASSING_4XX = new Set([408, 425, 429]);
/** The event itself may be what the receiver stumbles over. 502, 503 and 504 are the endpoint's state. */
const STUMBLES = new Set([500, 501]);

function outcomeOf(result: PushResult): Outcome {
  if (result.kind === "refused") return "refused";
  if (result.kind === "failed") return "transient";
  const { status } = result;
  if (status >= 200 && status < 300) return "delivered";
  if (status === GONE) return "gone";
  if (status >= 500 || PASSING_4XX.has(status)) return "transient";
  return "rejected";
}

/** The only place where it is decided what an attempt's result means. `now` is in milliseconds since the epoch, `unit` in [0, 1) for jitter. */
export function judge(result: PushResult, before: Standing, at: { now: number; unit: number }): Judgement {
  const outcome = outcomeOf(result);
  const failed: Standing = { ...before, failures: before.failures + 1, failingSince: before.failingSince ?? at.now };

  function backOff(standing: Standing): Judgement {
    if (at.now - (standing.failingSince ?? at.now) >= GONE_AFTER_MS) {
      return { outcome: "gone", verdict: { next: "off", reason: "it has failed for 5 days" }, standing };
    }
    const retryAfterMs = result.kind === "answered" ? result.retryAfterMs : undefined;
    return { outcome, verdict: { next: "retry", inMs: delayAfterFailure(standing.failures, at.unit, retryAfterMs) }, standing };
  }

  switch (outcome) {
    case "delivered":
      return {
        outcome,
        verdict: { next: "advance" },
        standing: { failures: 0, serverErrors: 0, rejections: 0, rejectedBefore: false, failingSince: null },
      };
    case "refused":
      return {
        outcome,
        verdict: { next: "off", reason: result.kind === "refused" ? result.reason : outcome },
        standing: failed,
      };
    case "gone":
      return { outcome, verdict: { next: "off", reason: "the address answered 410 Gone" }, standing: failed };
    case "transient": {
      const stumbled = result.kind === "answered" && STUMBLES.has(result.status);
      if (!stumbled) return backOff(failed);
      const serverErrors = before.serverErrors + 1;
      if (serverErrors < SERVER_ERRORS_TO_BURY) return backOff({ ...failed, serverErrors });
      return {
        outcome,
        verdict: { next: "bury", reason: `answered ${result.status} ${serverErrors} times` },
        // It still fails: the next event does not begin at the first step of the back-off.
        standing: { ...failed, serverErrors: 0, rejections: 0 },
      };
    }
    case "rejected": {
      // Two events in a row: it is the endpoint that is at fault, not the event.
      if (before.rejectedBefore) return backOff(failed);
      const rejections = before.rejections + 1;
      if (rejections < QUICK_TRIES) {
        return { outcome, verdict: { next: "retry", inMs: QUICK_RETRY_MS }, standing: { ...failed, rejections } };
      }
      const status = result.kind === "answered" ? result.status : 0;
      return {
        outcome,
        verdict: { next: "bury", reason: `answered ${status} ${rejections} times` },
        standing: { failures: 0, serverErrors: 0, rejections: 0, rejectedBefore: true, failingSince: null },
      };
    }
  }
}
