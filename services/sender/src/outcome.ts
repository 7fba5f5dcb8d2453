import type { PushResult, Result } from "@messenger/channels";
import { delayAfterFailure } from "@messenger/core";
import { GONE } from "@messenger/store";

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
  outcome: Result;
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
/** After an endpoint began to fail. */
export const GONE_AFTER_MS = 5 * DAY;
const WARNED_BEFORE_MS = DAY;
/** How long until the next try where the provider is at fault, if it does not say. */
const PROVIDER_PAUSE_MS = 15 * SECOND;

/**
 * The only place where it is decided what an attempt's result means. `now` is in milliseconds since the
 * epoch, `unit` in [0, 1) for jitter.
 */
export function judge(result: PushResult, before: Standing, at: { now: number; unit: number }): Judgement {
  const outcome = result.result;
  const { status } = result;
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
    return retryIn(delayAfterFailure(standing.failures, at.unit, result.retryAfterMs), standing);
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
    case "blocked":
      return { outcome, verdict: { next: "off", reason: reasonOf(result) }, standing: failed };
    case "gone":
      return {
        outcome,
        verdict: { next: "off", reason: status === 410 ? GONE : reasonOf(result) },
        standing: failed,
      };
    case "transient": {
      if (result.isProvidersFault === true) {
        // Nothing is known of the address: it is as it was.
        const askedMs = Math.min(result.retryAfterMs ?? 0, HOUR);
        const inMs = Math.max(PROVIDER_PAUSE_MS, askedMs) + PROVIDER_PAUSE_MS * at.unit;
        return { outcome, verdict: { next: "retry", inMs: Math.round(inMs) }, standing: before };
      }
      if (result.mayBeTheEvent !== true) return backOff(failed);
      const serverErrors = before.serverErrors + 1;
      if (serverErrors < SERVER_ERRORS_TO_BURY) return backOff({ ...failed, serverErrors });
      return bury(`${reasonOf(result)} ${serverErrors} times`, failed);
    }
    case "rejected": {
      if (result.isFinal === true) return bury(reasonOf(result), { ...before, rejectedAt: at.now });
      const rejections = before.rejections + 1;
      const isFirst = before.rejectedAt === null || at.now - before.rejectedAt >= REJECTED_WITHIN_MS;
      const delayMs = (isFirst ? REJECTED_FIRST_MS : REJECTED_AGAIN_MS)[rejections - 1];
      if (delayMs !== undefined) return retryIn(Math.round(delayMs * (0.8 + 0.4 * at.unit)), { ...failed, rejections });
      return bury(`${reasonOf(result)} ${rejections} times`, { ...failed, rejectedAt: at.now });
    }
  }
}

/** In words, for whoever owns the endpoint. */
function reasonOf({ result, status, code, detail }: PushResult): string {
  return detail ?? code ?? (status === undefined ? result : `answered ${status}`);
}
