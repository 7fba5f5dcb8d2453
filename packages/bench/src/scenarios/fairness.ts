import { createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { startNameServer } from "@messenger/testkit";
import { sql } from "kysely";
import { deploy } from "../deployment.ts";
import { openLoop } from "../load/end-to-end.ts";
import { writeRequests } from "../load/requests.ts";
import type { Sample } from "../measurements.ts";
import { signIn } from "../people.ts";
import type { Bench, Scenario } from "../scenario.ts";
import { addEndpoints, addRecipients, type Recipient } from "../world.ts";

const HEALTHY = 870;
const HANGING = 20;
const SLOW = 20;
const SLOW_MS = 2_000;
/** Answer a byte a second. */
const DRIPPING = 20;
const DRIP_MS = 1_000;
const REFUSING = 50;
/** Endpoints, each of an account of its own, with names that no name server answers for. */
const UNRESOLVED_OF_MANY = 20;
/** Endpoints of one account, with names that no name server answers for. */
const UNRESOLVED = 100;
/** Endpoints, each of an account of its own, that take every push, but just within the time that they have. */
const VERY_SLOW = 400;
const VERY_SLOW_MS = 9_500;
/** Messages to all 1,000 endpoints; as many to each healthy one whatever is beside it. */
const PER_SECOND = 1_000;
const SENDERS = 16;
/** Nobody listens on it. */
const CLOSED_PORT = 9;

/** What is beside the healthy endpoints. */
interface Beside {
  /** The inboxes' endpoints: an account for each list. */
  accounts: readonly (readonly string[])[];
  nameServers?: string;
  /** One more account is sent as many messages as all others together. */
  isTenant?: boolean;
  close(): Promise<void>;
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

const answerAfter =
  (ms: number) =>
  (socket: Socket): void =>
    void setTimeout(() => socket.write(OK), ms);

/** A byte a second: it is not at the end of the answer when its time is up. */
function drip(socket: Socket): void {
  let sent = 0;
  const timer = setInterval(() => {
    if (sent < OK.length) socket.write(OK[sent] as string);
    sent += 1;
  }, DRIP_MS);
  socket.on("close", () => clearInterval(timer));
}

/**
 * Receivers that take a connection, and answer late, or never: each an origin of its own, in `range`, the
 * first two numbers of a loopback address.
 */
async function startBad(
  count: number,
  range: string,
  answer: (socket: Socket) => void = () => undefined,
): Promise<{ origins: string[]; close(): Promise<void> }> {
  const servers: Server[] = [];
  const sockets = new Set<{ destroy(): void }>();
  const origins: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
      socket.on("data", () => answer(socket));
    });
    const host = `${range}.${Math.floor(n / 250)}.${(n % 250) + 1}`;
    server.listen(0, host);
    await once(server, "listening");
    origins.push(`http://${host}:${(server.address() as AddressInfo).port}`);
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

async function startBroken(): Promise<Beside> {
  const hanging = await startBad(HANGING, "127.1");
  const slow = await startBad(SLOW, "127.3", answerAfter(SLOW_MS));
  const dripping = await startBad(DRIPPING, "127.5", drip);
  const refusing = Array.from({ length: REFUSING }, (_, n) => `http://127.2.0.${n + 1}:${CLOSED_PORT}`);
  const unresolved = Array.from({ length: UNRESOLVED_OF_MANY }, (_, n) => `http://receiver.n${n}.example`);
  const nameServer = await startNameServer(() => "silent");
  const origins = [...hanging.origins, ...slow.origins, ...dripping.origins, ...refusing, ...unresolved];
  return {
    accounts: origins.map((origin) => [`${origin}/`]),
    nameServers: nameServer.address,
    async close() {
      await hanging.close();
      await slow.close();
      await dripping.close();
      await nameServer.close();
    },
  };
}

async function startUnresolved(): Promise<Beside> {
  const nameServer = await startNameServer(() => "silent");
  return {
    accounts: [Array.from({ length: UNRESOLVED }, (_, n) => `http://receiver.n${n}.example/`)],
    nameServers: nameServer.address,
    close: () => nameServer.close(),
  };
}

async function startVerySlow(): Promise<Beside> {
  const slow = await startBad(VERY_SLOW, "127.4", answerAfter(VERY_SLOW_MS));
  return { accounts: slow.origins.map((origin) => [`${origin}/`]), close: () => slow.close() };
}

const startTenant = (): Promise<Beside> => Promise.resolve({ accounts: [], isTenant: true, close: () => Promise.resolve() });

const BESIDE = [
  { name: "some are slow, hang, drip, refuse or have no address", start: startBroken },
  { name: "names that never resolve", start: startUnresolved },
  { name: "400 that take 9.5 s", start: startVerySlow },
  { name: "one account with half of the traffic", start: startTenant },
];

const nothing = (): Promise<Beside> => Promise.resolve({ accounts: [], close: () => Promise.resolve() });

/** `half` sends half as much to each, as beside an account that gets the other half. */
async function measure(bench: Bench, start: () => Promise<Beside>, half = false): Promise<readonly Sample[]> {
  const receiver = await bench.servers.receiver();
  const deployment = await deploy(bench);
  const beside = await start();
  try {
    const tenants = beside.isTenant === true ? 1 : 0;
    const recipients = await addRecipients(deployment.db, HEALTHY + beside.accounts.length + tenants);
    const healthy = recipients.slice(0, HEALTHY);
    const tenant = tenants === 0 ? undefined : (recipients.at(-1) as Recipient);
    await addEndpoints(deployment.db, tenant === undefined ? healthy : [...healthy, tenant], (_, n) =>
      receiver.addressOf(n, "timed"),
    );
    const others = beside.accounts.flatMap((addresses, n) =>
      addresses.map((address) => ({ recipient: recipients[HEALTHY + n] as Recipient, address })),
    );
    await addEndpoints(
      deployment.db,
      others.map(({ recipient }) => recipient),
      (_, n) => (others[n] as (typeof others)[number]).address,
    );
    const listener = await deployment.startListener();
    await deployment.startSender(beside.nameServers === undefined ? {} : { DNS_SERVERS: beside.nameServers });
    const senders = await signIn(listener.url, SENDERS);
    const sentTo = tenant === undefined ? recipients : healthy.flatMap((recipient) => [recipient, tenant]);
    const requests = await writeRequests(senders, sentTo);
    const loop = await openLoop(receiver, requests);
    try {
      const perSecond = PER_SECOND * (sentTo.length / 1_000) * (tenants > 0 || half ? 0.5 : 1);
      // From the first message on: once they have failed for a while, endpoints wait in back-off, and cost nobody anything.
      const seconds = bench.quick ? 4 : 30;
      const toHealthy = new Set<string>();
      const { p50, p99, failed } = await loop.run({
        url: listener.url,
        perSecond,
        seconds,
        counts: (id) => toHealthy.has(id),
        async beforeArrivals() {
          const { rows } = await sql<{ id: string }>`
            select id from events where inbox_id = any(${healthy.map(({ inbox }) => inbox)}::bigint[])
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
    await beside.close();
  }
}

async function run(bench: Bench): Promise<void> {
  for (const { name, start } of BESIDE) {
    const sides = [
      { name, run: () => measure(bench, start) },
      { name: "all healthy", run: () => measure(bench, nothing, start === startTenant) },
    ];
    await bench.inTurns(`fairness, ${name}`, sides, { compared: name });
  }
}

export const fairness: Scenario = {
  name: "fairness",
  about:
    "1,000 messages/s to 1,000 endpoints, 20 of which take connections and never answer, 20 of which answer after 2 s, 20 of which answer a byte a second, 50 of which refuse connections, and 20 of which have names that never resolve: how long messages to the 870 healthy ones take, from the first on. Then the same beside 100 endpoints of one account with names that never resolve, and beside 400 endpoints that take every push after 9.5 s, and beside one account that gets as many messages as all others together. Each beside the same without the others.",
  run,
};
