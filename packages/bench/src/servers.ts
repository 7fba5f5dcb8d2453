import { readFile } from "node:fs/promises";
import { type BreakableServer, type Server, startNginx, startPostgres, startRabbit, startRedis } from "@messenger/testkit";
import type { Receiver, Servers } from "./scenario.ts";

const ORIGINS = 8;

/** Makes `start` run once, however often it is asked for. */
function once<Value>(start: () => Promise<Value>): { get: () => Promise<Value>; started: () => Promise<Value | undefined> } {
  let value: Promise<Value> | undefined;
  return {
    get() {
      value ??= start();
      return value;
    },
    started: () => Promise.resolve(value),
  };
}

async function startReceiver(): Promise<Receiver> {
  let log = "";
  let polls = 0;
  const server = await startNginx(({ port, folder }) => {
    log = `${folder}/arrivals.log`;
    return `
    log_format arrival '$http_webhook_id $msec';
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    client_body_buffer_size 64k;
    server {
      listen ${port} reuseport backlog=4096;
      location / { return 204; }
      location /timed/ { access_log ${log} arrival buffer=64k flush=50ms; return 204; }
      location = /status { stub_status; }
    }`;
  });
  const { port } = new URL(server.url);
  return {
    server,
    addressOf: (n, timed) => `http://127.0.0.${(n % ORIGINS) + 1}:${port}/${timed ?? "e"}/${n}`,
    async count() {
      const text = await (await fetch(`${server.url}/status`)).text();
      polls += 1;
      return Number(/^ \d+ \d+ (\d+)/mu.exec(text)?.[1]) - polls;
    },
    async arrivals() {
      const arrivals = new Map<string, number>();
      for (const line of (await readFile(log, "utf8")).split("\n")) {
        const [id, seconds] = line.split(" ");
        if (id !== undefined && seconds !== undefined && !arrivals.has(id)) arrivals.set(id, Number(seconds) * 1000);
      }
      return arrivals;
    },
  };
}

/** The servers of a run, where those come from that were started, and how to stop them. */
export function createServers(): Servers & { origins(): Promise<string[]>; stop(): Promise<void> } {
  const postgres = once<BreakableServer>(() => startPostgres({ durable: true }));
  const rabbit = once<BreakableServer>(startRabbit);
  const redis = once<Server>(startRedis);
  const receiver = once(startReceiver);
  return {
    postgres: postgres.get,
    rabbit: rabbit.get,
    redis: redis.get,
    receiver: receiver.get,
    async origins() {
      const started = await Promise.all([postgres, rabbit, redis].map((server): Promise<Server | undefined> => server.started()));
      return started.filter((server) => server !== undefined).map(({ origin }) => origin);
    },
    async stop() {
      for (const server of [postgres, rabbit, redis]) await (await server.started().catch(() => undefined))?.stop();
      await (await receiver.started().catch(() => undefined))?.server.stop();
    },
  };
}
