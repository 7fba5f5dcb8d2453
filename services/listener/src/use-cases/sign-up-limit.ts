import { type Clock, sleep } from "@messenger/core";
import { Overloaded } from "../append-queue.ts";
import { createAttemptCounts, createUnderwayCounts } from "./attempt-counts.ts";
import { isLoopback, networkOf } from "../networks.ts";
import { Refused } from "../refused.ts";

/** Limits the accounts that a network makes in an hour, and its sign-ups under way. */
export interface SignUpLimit {
  /**
   * Runs a sign-up. It counts unless it throws: one that a busy server refuses takes nothing from the people
   * of the same network. (One whose name is taken counts, so that nobody can try names without limit.)
   * @throws {Refused} too_many_sign_ups
   * @throws {Overloaded} if too many of this network are under way
   */
  attempt<Result>(ip: string, run: () => Promise<Result>): Promise<Result>;
}

const HOUR_MS = 60 * 60_000;
/**
 * Some more than the hash queue holds of a network. It would refuse the others, but the database would have
 * been asked for each of them before: with 120 sign-ups at a time, log-ins waited behind those statements.
 */
const MAX_UNDERWAY = 10;

/**
 * A refusal is answered after so long. Whoever asks again as soon as it is refused would else ask thousands of
 * times a second, and log-ins would wait behind that.
 */
const HOLD_BACK_MS = 1_000;
/** Of more that are refused, the others are answered at once. */
const MAX_HELD_BACK = 1_000;

export function createSignUpLimit(clock: Clock, perHour: number): SignUpLimit {
  const made = createAttemptCounts(clock, HOUR_MS);
  const underway = createUnderwayCounts();
  let heldBack = 0;

  async function refuse(refusal: Error): Promise<never> {
    if (heldBack < MAX_HELD_BACK) {
      heldBack += 1;
      await sleep(clock, HOLD_BACK_MS);
      heldBack -= 1;
    }
    throw refusal;
  }

  return {
    async attempt(ip, run) {
      const network = networkOf(ip);
      const running = underway.of(network);
      // This machine itself makes any number.
      if (made.of(network) + running >= perHour && !isLoopback(ip)) {
        const detail = "too many accounts were made from this network; try again later";
        return refuse(new Refused("too_many_sign_ups", detail, made.secondsLeft(network)));
      }
      if (running >= MAX_UNDERWAY) {
        return refuse(new Overloaded("too many sign in or sign up from this network at this moment"));
      }
      underway.begin(network);
      try {
        const result = await run();
        made.add(network);
        return result;
      } finally {
        underway.end(network);
      }
    },
  };
}
