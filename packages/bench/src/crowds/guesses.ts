import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import type { CrowdDeps } from "./orders.ts";

const CONNECTIONS = 1_000;
const MAX_GUESSES = 50_000;

/** Each of another /24, which is what a familiar network is counted by. */
const networkOf = (n: number): string => `10.${n >> 8}.${n & 255}.1`;

export async function guess({ url, crowd, over, count, ready }: CrowdDeps<"guesses">): Promise<void> {
  const pool = new Pool(url.origin, { connections: CONNECTIONS });
  const body = (n: number): string =>
    JSON.stringify({
      username: crowd.username,
      password: `guess ${n}`,
      user_address: "http://127.0.0.1:9/",
      public_key: "key",
    });
  let underway = 0;

  async function one(n: number): Promise<void> {
    const headers = { "content-type": "application/json", "x-forwarded-for": networkOf(n % crowd.networks) };
    underway += 1;
    try {
      const answer = await pool.request({ path: "/api/login/", method: "POST", headers, body: body(n), signal: over });
      await answer.body.dump();
      count(String(answer.statusCode));
    } catch (error) {
      if (!over.aborted) count((error as Error).message);
    } finally {
      underway -= 1;
    }
  }

  ready();
  const startedAt = performance.now();
  for (let made = 0; made < MAX_GUESSES && !over.aborted; await sleep(2)) {
    const due = Math.floor(((performance.now() - startedAt) * crowd.perSecond) / 1000);
    for (; made < due; made += 1) {
      if (underway < CONNECTIONS) void one(made);
      else count("not made: too many under way");
    }
  }
  await pool.destroy();
}
