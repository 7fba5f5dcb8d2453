import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import type { CrowdDeps } from "./orders.ts";
import { newAccount } from "./sign-ups.ts";

const CONNECTIONS = 1_000;
const MAX_GUESSES = 50_000;

/** Each of another /24, which is what a familiar network is counted by. */
const networkOf = (n: number): string => `10.${n >> 8}.${n & 255}.1`;

interface CrowdRequest {
  path: string;
  body: object;
}

function guessAt(username: string, n: number): CrowdRequest {
  const body = { username, password: `guess ${n}`, user_address: "http://127.0.0.1:9/", public_key: "key" };
  return { path: "/api/login/", body };
}

export async function guess({ url, crowd, over, count, ready }: CrowdDeps<"guesses">): Promise<void> {
  const pool = new Pool(url.origin, { connections: CONNECTIONS });
  const { usernames, networks, signsUp } = crowd;

  function requestOf(n: number): CrowdRequest {
    if (signsUp && n % 2 === 1) return newAccount();
    return guessAt(usernames[n % usernames.length] as string, n);
  }
  let underway = 0;

  async function one(n: number): Promise<void> {
    const headers = { "content-type": "application/json", "x-forwarded-for": networkOf(n % networks) };
    const { path, body } = requestOf(n);
    underway += 1;
    try {
      const answer = await pool.request({ path, method: "POST", headers, body: JSON.stringify(body), signal: over });
      await answer.body.dump();
      count(signsUp ? `${path} ${answer.statusCode}` : String(answer.statusCode));
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
