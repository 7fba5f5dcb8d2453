/**
 * Sends messages at a steady rate, whatever the answers do: what is late does not hold up what comes after
 * it, and a latency is counted from when its request was to be sent. A process of its own, so that nothing
 * else delays it.
 *
 * Reads one line of JSON for each run from its standard input (`OpenLoopRun`), and answers with one line
 * (`OpenLoopResult`).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Pool } from "undici";

export interface OpenLoopRun {
  url: string;
  /** Tokens and bodies, each on a line of its own. */
  requests: string;
  perSecond: number;
  seconds: number;
  /**
   * Where the times go: a line for each answered message, its id and when it was to be sent, in ms since the
   * epoch.
   */
  times: string;
}

export interface OpenLoopResult {
  answered: number;
  failed: number;
}

const CONNECTIONS = 256;
const TICK_MS = 1;
/** After the last is sent. */
const PATIENCE_MS = 20_000;

const epoch = (): number => performance.timeOrigin + performance.now();

async function run({ url, requests, perSecond, seconds, times }: OpenLoopRun): Promise<OpenLoopResult> {
  const lines = readFileSync(requests, "utf8").split("\n");
  const count = Math.floor(lines.length / 3);
  const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 });
  const total = Math.round(perSecond * seconds);
  const startedAt = epoch() + 50;
  let log = "";
  let [sent, answered, failed, underway] = [0, 0, 0, 0];

  function send(n: number): void {
    const intended = startedAt + (n * 1000) / perSecond;
    const [token, path, body] = lines.slice((n % count) * 3, (n % count) * 3 + 3) as [string, string, string];
    let [status, text] = [0, ""];
    underway += 1;
    const headers = { "content-type": "application/json", accept: "application/json", authorization: `Bearer ${token}` };
    pool.dispatch(
      { path, method: "POST", headers, body },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_controller, code) => void (status = code),
        onResponseData: (_controller, chunk) => void (text += chunk.toString()),
        onResponseEnd() {
          underway -= 1;
          if (status !== 200) {
            failed += 1;
            return;
          }
          answered += 1;
          const { message_id: id } = JSON.parse(text) as { message_id: string };
          log += `${id} ${intended.toFixed(3)}\n`;
        },
        onResponseError() {
          underway -= 1;
          failed += 1;
        },
      },
    );
  }

  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((epoch() - startedAt) * perSecond) / 1000) + 1);
      for (; sent < due; sent += 1) send(sent);
      const over = sent >= total && (underway === 0 || epoch() > startedAt + seconds * 1000 + PATIENCE_MS);
      if (!over) return;
      clearInterval(timer);
      resolve();
    }, TICK_MS);
  });
  await pool.destroy();
  writeFileSync(times, log);
  return { answered, failed: failed + underway };
}

for await (const line of createInterface({ input: process.stdin })) {
  const result = await run(JSON.parse(line) as OpenLoopRun);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
