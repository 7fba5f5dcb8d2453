import type { Clock } from "@messenger/core";
import { LRUCache } from "lru-cache";
import { createAttemptCounts, createUnderwayCounts } from "./attempt-counts.ts";
import { neighbourhoodOf, networkOf } from "../networks.ts";
import { Refused } from "../refused.ts";

/** A log-in that is tried. */
interface LoginAttempt {
  ip: string;
  /** What tells the account from others: its id, or the name that was given where there is none of that name. */
  account: string;
  /** Somebody signed in to it from this neighbourhood before. */
  isFamiliar: boolean;
}

/**
 * Slows down the guessing of passwords. Only failures count, so that nobody is slowed down who knows the
 * password: by account and network together, and by network; and by account over all networks, for networks
 * only that nobody signed in from: so a stranger cannot lock anybody out.
 */
export interface LoginThrottle {
  /**
   * Runs an attempt, whose result is null where it failed. Attempts that are under way count as failures
   * until they have ended.
   * @throws {Refused} too_many_attempts
   */
  attempt<Result>(attempt: LoginAttempt, run: () => Promise<Result | null>): Promise<Result | null>;
  /**
   * Refuses by what is remembered of the network, and of the last attempt at this name from this
   * neighbourhood: a guess that is refused in any case then costs no statement. Returns whether the
   * neighbourhood is known not to be familiar.
   * @throws {Refused} too_many_attempts
   */
  checkRemembered(ip: string, name: string): boolean;
  /** What the database says of a name, for `checkRemembered`. */
  remember(name: string, attempt: LoginAttempt): void;
}

const WINDOW_MS = 5 * 60_000;
const PER_ACCOUNT_AND_NETWORK = 10;
const PER_NETWORK = 100;
/** Failures at one account after which networks that are not familiar get one guess each, by their neighbourhood. */
const ACCOUNT_UNDER_ATTACK = 50;
const REMEMBERED_MS = 60_000;
const MAX_REMEMBERED = 20_000;

export function createLoginThrottle(clock: Clock): LoginThrottle {
  const failures = createAttemptCounts(clock, WINDOW_MS);
  const underway = createUnderwayCounts();
  /**
   * The account behind a name that was tried from a neighbourhood that is not familiar, and until when that
   * is believed.
   */
  const strangers = new LRUCache<string, { account: string; until: number }>({ max: MAX_REMEMBERED });
  const strangerKey = (ip: string, name: string): string => `${neighbourhoodOf(ip)} ${name}`;

  const count = (key: string): number => failures.of(key) + underway.of(key);
  const ofNetwork = (ip: string): string => `network ${networkOf(ip)}`;
  const ofAccount = (account: string): string => `account ${account}`;

  function refuse(key: string, atMostSeconds = Number.POSITIVE_INFINITY): never {
    const retryAfterSeconds = Math.min(failures.secondsLeft(key), atMostSeconds);
    throw new Refused("too_many_attempts", "too many failed log-ins from this network; try again later", retryAfterSeconds);
  }

  /** Returns what counts for an attempt. @throws {Refused} too_many_attempts where that is too much. */
  function check({ ip, account, isFamiliar }: LoginAttempt, atMostSeconds?: number): readonly string[] {
    const ofNeighbourhood = `${account} ${neighbourhoodOf(ip)}`;
    const isStrict = !isFamiliar && failures.of(ofAccount(account)) >= ACCOUNT_UNDER_ATTACK;
    const limits = [
      { key: `${account} ${networkOf(ip)}`, max: PER_ACCOUNT_AND_NETWORK },
      { key: ofNetwork(ip), max: PER_NETWORK },
      ...(isStrict ? [{ key: ofNeighbourhood, max: 1 }] : []),
    ];
    const exceeded = limits.find(({ key, max }) => count(key) >= max);
    if (exceeded !== undefined) refuse(exceeded.key, atMostSeconds);
    return [...new Set([...limits.map(({ key }) => key), ofNeighbourhood])];
  }

  return {
    checkRemembered(ip, name) {
      if (count(ofNetwork(ip)) >= PER_NETWORK) refuse(ofNetwork(ip));
      const stranger = strangers.get(strangerKey(ip, name));
      const leftMs = (stranger?.until ?? 0) - clock.monotonic();
      if (stranger === undefined || leftMs <= 0) return false;
      // Somebody may have signed in from there meanwhile, at another listener or by another name: then it is no stranger in a minute.
      check({ ip, account: stranger.account, isFamiliar: false }, Math.ceil(leftMs / 1_000));
      return true;
    },
    remember(name, { ip, account, isFamiliar }) {
      if (isFamiliar) strangers.delete(strangerKey(ip, name));
      else strangers.set(strangerKey(ip, name), { account, until: clock.monotonic() + REMEMBERED_MS });
    },
    async attempt(attempt, run) {
      const keys = check(attempt);
      for (const key of keys) underway.begin(key);
      try {
        const result = await run();
        if (result === null) for (const key of [...keys, ofAccount(attempt.account)]) failures.add(key);
        return result;
      } finally {
        for (const key of keys) underway.end(key);
      }
    },
  };
}
