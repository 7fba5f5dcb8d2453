import { randomBytes } from "node:crypto";
import { Pool } from "undici";
import type { CrowdDeps } from "./orders.ts";

const MAX_SIGN_UPS = 500_000;

/** A sign-up of somebody new. */
export function newAccount(): { path: string; body: object } {
  const username = `c-${randomBytes(6).toString("hex")}`;
  return { path: "/api/users/", body: { username, phone_number: `tel ${username}`, password: "a password of the crowd" } };
}

export async function signUp({ url, crowd, over, count, ready }: CrowdDeps<"sign-ups">): Promise<void> {
  const pool = new Pool(url.origin, { connections: crowd.atATime });
  const headers = { "content-type": "application/json", "x-forwarded-for": crowd.network };

  async function one(): Promise<void> {
    const { path, body } = newAccount();
    try {
      const answer = await pool.request({ path, method: "POST", headers, body: JSON.stringify(body), signal: over });
      await answer.body.dump();
      count(String(answer.statusCode));
    } catch (error) {
      if (!over.aborted) count((error as Error).message);
    }
  }

  ready();
  for (let made = 0; made < MAX_SIGN_UPS && !over.aborted; made += crowd.atATime) {
    await Promise.all(Array.from({ length: crowd.atATime }, one));
  }
  await pool.destroy();
}
