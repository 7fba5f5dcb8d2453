import { createServer, type Server } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { sql } from "kysely";
import { deploy } from "../deployment.ts";
import { openLoop } from "../load/end-to-end.ts";
import { writeRequests } from "../load/requests.ts";
import type { Sample } from "../measurements.ts";
import { signIn } from "../people.ts";
import type { Bench, Scenario, Side } from "../scenario.ts";
import { addEndpoints, addRecipients } from "../world.ts";

const ENDPOINTS = 1_000;
const HANGING = 20;
const SLOW = 20;
const SLOW_MS = 2_000;
const REFUSING = 50;
const PER_SECOND = 1_000;
const SENDERS = 16;
/** Nobody listens on it. */
const CLOSED_PORT = 9;

/** Receivers that take a connection, and answer late, or never: each an origin of its own. */
async function startBad(
  count: number,
  range: string,
  answerAfterMs?: number,
): Promise<{ origins: string[]; close(): Promise<void> }> {
  const servers: Server[] = [];
  const sockets = new Set<{ destroy(): void }>();
  const origins: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
      socket.on("data", () => {
        if (answerAfterMs !== undefined) setTimeout(() => socket.write("HTTP/1.1 204 No Content\r\n\r\n"), answerAfterMs);
      });
    });
    server.listen(0, `${range}.${n + 1}`);
    await once(server, "listening");
    origins.push(`http://${range}.${n + 1}:${(server.address() as AddressInfo).port}`);
    servers.push(server);
  }
  return {
    origins,
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => once(server.close(), "close")));
    },
  };
}

async function measure(bench: Bench, bad: boolean): Promise<readonly Sample[]> {
  const receiver = await bench.servers.receiver();
  const deployment = await deploy(bench);
  const hanging = await startBad(bad ? HANGING : 0, "127.1.0");
  const slow = await startBad(bad ? SLOW : 0, "127.3.0", SLOW_MS);
  const bads = [...hanging.origins, ...slow.origins];
  try {
    const healthy = ENDPOINTS - HANGING - SLOW - REFUSING;
    const recipients = await addRecipients(deployment.db, bad ? ENDPOINTS : healthy);
    await addEndpoints(deployment.db, recipients, (_, n) => {
      if (n < healthy) return receiver.addressOf(n, "timed");
      const origin = bads[n - healthy];
      return origin === undefined ? `http://127.2.0.${n - healthy}:${CLOSED_PORT}/` : `${origin}/`;
    });
    const listener = await deployment.startListener();
    await deployment.startSender();
    const senders = await signIn(listener.url, SENDERS);
    const requests = await writeRequests(senders, recipients);
    const loop = await openLoop(receiver, requests);
    try {
      // As many to each endpoint, whether the bad ones are there or not.
      const perSecond = PER_SECOND * (recipients.length / ENDPOINTS);
      // From the first message on: once they have failed for a while, endpoints wait in back-off, and cost nobody anything.
      const seconds = bench.quick ? 4 : 30;
      const toHealthy = new Set<string>();
      const counts = (id: string): boolean => toHealthy.has(id);
      const { p50, p99, failed } = await loop.run({
        url: listener.url,
        perSecond,
        seconds,
        counts,
        async beforeArrivals() {
          const { rows } = await sql<{ id: string }>`
            select id from events where inbox_id = any(${recipients.slice(0, healthy).map(({ inbox }) => inbox)}::bigint[])
          `.execute(deployment.db);
          for (const { id } of rows) toHealthy.add(id);
        },
      });
      if (failed > 0) throw new Error(`${failed} requests failed`);
      return [
        { metric: "p99 of healthy endpoints", unit: "ms", value: p99 },
        { metric: "p50 of healthy endpoints", unit: "ms", value: p50 },
      ];
    } finally {
      await loop.close();
      await rm(dirname(requests), { recursive: true });
    }
  } finally {
    await deployment.close();
    await hanging.close();
    await slow.close();
  }
}

async function run(bench: Bench): Promise<void> {
  const sides: Side[] = [
    { name: "some are slow, hang or refuse", run: () => measure(bench, true) },
    { name: "all healthy", run: () => measure(bench, false) },
  ];
  await bench.inTurns("fairness", sides, { compared: "some are slow, hang or refuse" });
}

export const fairness: Scenario = {
  name: "fairness",
  about:
    "1,000 messages/s to 1,000 endpoints, 20 of which take connections and never answer, 20 of which answer after 2 s, and 50 of which refuse connections: how long messages to the 910 healthy ones take, from the first on. Beside: the same without the others.",
  run,
};
