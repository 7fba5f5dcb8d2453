import { http, PASSWORD, register } from "@messenger/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deployListener } from "./deployments.ts";
import { figure } from "./figure.ts";

/**
 * How far apart two samples are, in standard deviations of what they would be by chance (Mann and Whitney's U, by its
 * normal approximation): it looks at the order alone, so that a single slow one changes little.
 */
function distance(one: readonly number[], other: readonly number[]): number {
  const all = [...one.map((ms) => ({ ms, mine: true })), ...other.map((ms) => ({ ms, mine: false }))];
  all.sort((a, b) => a.ms - b.ms);
  const ranks = all.reduce((sum, { mine }, n) => sum + (mine ? n + 1 : 0), 0);
  const u = ranks - (one.length * (one.length + 1)) / 2;
  const mean = (one.length * other.length) / 2;
  const deviation = Math.sqrt((one.length * other.length * (one.length + other.length + 1)) / 12);
  return Math.abs(u - mean) / deviation;
}

/** By chance, once in 15,000 runs. */
const FAR = 4;
const ASKED = 40;

describe("how long it takes", () => {
  let deployed: Awaited<ReturnType<typeof deployListener>>;
  let networks = 0;

  beforeAll(async () => {
    deployed = await deployListener({ trustedProxies: ["127.0.0.1"] });
  });
  afterAll(() => deployed.close());

  /** Each from another network, so that none is refused for what the others did. */
  async function time(path: string, body: object, status: number): Promise<number> {
    networks += 1;
    const headers = { "x-forwarded-for": `10.${networks >> 8}.${networks & 255}.1` };
    const began = performance.now();
    const answer = await http(`${deployed.url}/api/${path}/`, { body, headers });
    expect(answer.status, answer.text).toBe(status);
    return performance.now() - began;
  }

  /** In turns, so that what else the machine does is shared by both. */
  async function compare(one: (n: number) => Promise<number>, other: (n: number) => Promise<number>): Promise<number> {
    const samples: [number[], number[]] = [[], []];
    for (let n = 0; n < ASKED; n += 1) {
      const pair = [one, other] as const;
      for (const which of n % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) samples[which].push(await pair[which](n));
    }
    return distance(...samples);
  }

  it("tells nobody whether there is an account", async () => {
    const people = await Promise.all(Array.from({ length: 4 }, () => register(deployed.url, { "x-forwarded-for": "192.0.2.1" })));
    const known = (n: number): string => people[n % people.length]?.name as string;
    const unknown = (n: number): string => `nobody-${n % people.length}`;
    const logIn = (nameOf: (n: number) => string) => (n: number) =>
      time("sessions", { username: nameOf(n), password: "a wrong one of some length" }, 401);
    const reset = (nameOf: (n: number) => string) => (n: number) => time("password-resets", { username: nameOf(n) }, 202);
    const confirm = (nameOf: (n: number) => string) => (n: number) =>
      time("password-resets/confirm", { username: nameOf(n), code: "123456", password: "a new one of some length" }, 400);

    const far = {
      logIn: await compare(logIn(known), logIn(unknown)),
      reset: await compare(reset(known), reset(unknown)),
      confirm: await compare(confirm(known), confirm(unknown)),
    };
    for (const [what, by] of Object.entries(far))
      figure(`known and unknown accounts differ, ${what}`, `${by.toFixed(1)} deviations`);
    for (const by of Object.values(far)) expect(by).toBeLessThan(FAR);

    // What differs is noticed: a log-in that is right makes a session.
    const right = (n: number) => time("sessions", { username: known(n), password: PASSWORD }, 201);
    const malformed = () => time("sessions", { username: "ada" }, 400);
    expect(await compare(right, malformed)).toBeGreaterThan(FAR);
  }, 120_000);
});
