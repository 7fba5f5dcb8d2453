import rateLimit from "@fastify/rate-limit";
import { LIMITED, type Limited, limitOf, type Route } from "@messenger/contracts";
import { drawRequests, findPlan } from "@messenger/store";
import type { FastifyReply, FastifyRequest } from "fastify";
import { LRUCache } from "lru-cache";
import type { App } from "../app.ts";
import type { Context } from "../context.ts";
import { isLoopback, networkOf } from "../networks.ts";
import { type Limits, STANDARD_PLAN, STRICT_DOOR } from "../rate-limits.ts";
import { Refused } from "../refused.ts";
import { createRequestCounts } from "../request-counts.ts";

const WINDOW_S = 60;
const WINDOW_MS = WINDOW_S * 1000;
/** For so long a listener does not notice that a user was put on another plan. */
const PLAN_MS = 60_000;
const MAX_PLANS = 10_000;
const DOOR = "door: messages";

type Limiter = ReturnType<App["createRateLimit"]>;
interface Limit {
  name: string;
  limiter: Limiter;
}

/** Counts a request, and says in the answer what is left; undefined where it is not limited. @throws {Refused} rate_limited */
export type LimitRequest = (request: FastifyRequest, reply: FastifyReply, route: Route | undefined) => Promise<void> | undefined;

/** Whom a request counts for: the user, or the network where nobody is signed in. */
const whoOf = ({ identity, ip }: FastifyRequest): string => (identity === null ? `n ${networkOf(ip)}` : `u ${identity.userId}`);

export async function limitRequests(app: App, { settings, db, clock }: Context): Promise<LimitRequest> {
  const { standard, plans, countsLoopback } = settings.rateLimits;
  const counts = createRequestCounts({ draw: (of, block) => drawRequests(db, of, block), clock });
  const planOf = new LRUCache<number, string>({ max: MAX_PLANS, ttl: PLAN_MS });

  async function limitsOf({ identity }: FastifyRequest): Promise<Limits> {
    if (identity === null || plans.size === 0) return standard as Limits;
    let plan = planOf.get(identity.userId);
    if (plan === undefined) {
      plan = await findPlan(db, identity.userId).catch(() => STANDARD_PLAN);
      planOf.set(identity.userId, plan);
    }
    return (plan === STANDARD_PLAN ? undefined : plans.get(plan)) ?? (standard as Limits);
  }

  /** What the plugin keeps its counts in. */
  class Store {
    incr(
      key: string,
      done: (error: Error | null, result?: { current: number; ttl: number }) => void,
      windowMs: number,
      most: number,
    ): void {
      counts.count({ key, windowMs, most }).then(
        (counted) => done(null, counted),
        (error: unknown) => done(error as Error),
      );
    }
    child(): Store {
      return this;
    }
  }

  // What a database that is away cannot count is let through: there is little that it can do then.
  await app.register(rateLimit, { global: false, store: Store, timeWindow: WINDOW_MS, skipOnError: true });

  const limiterOf = (name: string, max: (request: FastifyRequest) => Promise<number>): Limiter =>
    app.createRateLimit({ max, keyGenerator: (request) => `${name} ${whoOf(request)}` });
  const eachGroup = (make: (group: Limited) => Limiter): ReadonlyMap<Limited, Limiter> =>
    new Map(LIMITED.map((group) => [group, make(group)]));
  const usual = eachGroup((group) => limiterOf(group, async (request) => (await limitsOf(request))[group]));
  const ofDoor = eachGroup((group) => limiterOf(`door-${group}`, async () => STRICT_DOOR[group]));

  function find(request: FastifyRequest, route: Route | undefined): Limit | undefined {
    const group = route === undefined ? undefined : limitOf(route);
    if (group === undefined) return undefined;
    if (settings.frontDoorLimits === "strict" && route?.tag === DOOR) {
      return { name: `door-${group}`, limiter: ofDoor.get(group) as Limiter };
    }
    if (standard === undefined || (!countsLoopback && isLoopback(request.ip))) return undefined;
    return { name: group, limiter: usual.get(group) as Limiter };
  }

  async function count({ name, limiter }: Limit, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const counted = await limiter(request);
    if (counted.isAllowed) return;
    const { max, remaining, ttlInSeconds, isExceeded } = counted;
    reply.header("ratelimit-policy", `"${name}";q=${max};w=${WINDOW_S}`);
    reply.header("ratelimit", `"${name}";r=${remaining};t=${ttlInSeconds}`);
    if (isExceeded) {
      throw new Refused("rate_limited", `at most ${max} requests of this kind (${name}) are taken in a minute`, ttlInSeconds);
    }
  }

  return (request, reply, route) => {
    const found = find(request, route);
    return found === undefined ? undefined : count(found, request, reply);
  };
}
