import type { FastifyRequest } from "fastify";
import type { App } from "./app.ts";
import { HttpProblem } from "./http/problem.ts";

/**
 * Slows down the guessing of passwords. Only failures count, so that nobody is slowed down who knows the password; by account and address together, and
 * by address, never by account alone, which would let anyone lock a victim out.
 */
export interface LoginThrottle {
  /**
   * Runs an attempt, whose result is null where it failed. Attempts that are under way count as failures until they have ended.
   * @throws {HttpProblem} 429
   */
  attempt<Result>(request: FastifyRequest, account: string, run: () => Promise<Result | null>): Promise<Result | null>;
}

const PER_ACCOUNT_AND_ADDRESS = 10;
const PER_ADDRESS = 100;
const WINDOW_MS = 5 * 60_000;

/** Whoever has an IPv6 address has the 2^64 addresses beside it, too. */
function networkOf(ip: string): string {
  if (!ip.includes(":") || ip.includes(".")) return ip;
  const [head = "", tail = ""] = ip.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === "" ? [] : tail.split(":");
  const zeros = ip.includes("::") ? Array.from({ length: 8 - before.length - after.length }, () => "0") : [];
  return `${[...before, ...zeros, ...after].slice(0, 4).join(":")}::/64`;
}

export function createLoginThrottle(app: App): LoginThrottle {
  const accounts = new WeakMap<FastifyRequest, string>();
  const byAddress = (request: FastifyRequest): string => networkOf(request.ip);
  const byAccount = (request: FastifyRequest): string => `${accounts.get(request)}\n${byAddress(request)}`;
  const underway = new Map<string, number>();
  const limits = [
    { keyOf: byAccount, max: PER_ACCOUNT_AND_ADDRESS },
    { keyOf: byAddress, max: PER_ADDRESS },
  ].map(({ keyOf, max }) => ({ keyOf, count: app.createRateLimit({ max, timeWindow: WINDOW_MS, keyGenerator: keyOf }) }));

  function addUnderway(key: string, by: 1 | -1): void {
    const now = (underway.get(key) ?? 0) + by;
    if (now === 0) underway.delete(key);
    else underway.set(key, now);
  }

  return {
    async attempt(request, account, run) {
      accounts.set(request, account.normalize("NFKC").trim().toLowerCase());
      for (const { keyOf, count } of limits) {
        const state = await count(request, { increment: false });
        if (!state.isAllowed && state.remaining - (underway.get(keyOf(request)) ?? 0) <= 0) {
          throw new HttpProblem({
            status: 429,
            code: "too_many_attempts",
            detail: "too many failed log-ins from this address; try again later",
            retryAfterSeconds: Math.max(1, state.ttlInSeconds),
          });
        }
      }
      const keys = limits.map(({ keyOf }) => keyOf(request));
      for (const key of keys) addUnderway(key, 1);
      try {
        const result = await run();
        if (result === null) for (const { count } of limits) await count(request);
        return result;
      } finally {
        for (const key of keys) addUnderway(key, -1);
      }
    },
  };
}
