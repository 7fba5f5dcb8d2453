import { LIMITED, type Limited } from "@messenger/contracts";
import type { Setting } from "@messenger/runtime";

/** Requests of each group of routes that a user may make in a minute. */
export type RouteLimits = Readonly<Record<Limited, number>>;

/** Likewise; and messages to somebody who has not answered (`unanswered`), at one listener. */
export type Limits = RouteLimits & { readonly unanswered: number };

const NAMES = [...LIMITED, "unanswered"] as const;

/** What is counted, and how much of it there may be. */
export interface RateLimits {
  /** Undefined where nothing is limited. */
  standard: Limits | undefined;
  /** Of users whom the operator has put on another plan. */
  plans: ReadonlyMap<string, Limits>;
  /** Whether this machine itself is limited, too: not by the limits that hold where none are set. */
  countsLoopback: boolean;
}

export const STANDARD_PLAN = "standard";
const MAX_PER_MINUTE = 10_000_000;
const ENTRY = /^(?:([a-z][a-z\d-]{0,30}):)?([a-z]+)=(\d{1,8})$/u;

/** More than people do, and than most programs; less than what holds others up. */
const DEFAULT: Limits = { send: 3_000, read: 6_000, edit: 1_200, other: 3_000, unanswered: 1_000 };

/** Those of the front door *messages*, where it is held to the limits of the system that it is compatible with. */
export const STRICT_DOOR: RouteLimits = { send: 1, read: 10, edit: 3, other: 3 };

/** `send=1,read=10,bulk:send=60000`, or `off`. @throws {Error} */
function parse(text: string): RateLimits {
  if (text.trim() === "off") return { standard: undefined, plans: new Map(), countsLoopback: false };
  const given = new Map<string, Partial<Record<(typeof NAMES)[number], number>>>();
  for (const entry of text.split(",")) {
    const [, plan = STANDARD_PLAN, name, digits] = ENTRY.exec(entry.trim()) ?? [];
    const group = NAMES.find((one) => one === name);
    const limit = Number(digits);
    // What is not answered is counted alike for all.
    const isForAll = group === "unanswered" && plan !== STANDARD_PLAN;
    if (group === undefined || isForAll || limit < 1 || limit > MAX_PER_MINUTE) {
      throw new Error(
        `off, or requests in a minute such as send=600,read=3000,bulk:send=60000 are expected, for ${NAMES.join(", ")}, 1 to ${MAX_PER_MINUTE} each`,
      );
    }
    given.set(plan, { ...given.get(plan), [group]: limit });
  }
  const standard = { ...DEFAULT, ...given.get(STANDARD_PLAN) };
  given.delete(STANDARD_PLAN);
  const plans = new Map(Array.from(given, ([plan, limits]) => [plan, { ...standard, ...limits }]));
  return { standard, plans, countsLoopback: true };
}

export const rateLimitsSetting: Setting<RateLimits> = {
  name: "RATE_LIMITS",
  fallback: { standard: DEFAULT, plans: new Map(), countsLoopback: false },
  parse,
};
