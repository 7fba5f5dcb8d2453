import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { globalAgent } from "node:https";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  type Arrival,
  freePort,
  http,
  makePeople as makePeopleAt,
  type Person,
  type SteadyLoad,
  startSteadyLoad,
  waitFor,
} from "@messenger/testkit";
import { expect } from "vitest";
import { expectInOrder, repeats } from "../arrivals.ts";
import { figure, msSince } from "../figure.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const FILES = "messenger.compose.yaml:services/standalone/tests/compose/test.compose.yaml";
const PROJECT = "messenger-test";
const MAX_CONNECTIONS = 64;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

// Ports that nobody has: a deployment on this machine, or another run of these tests, may have the usual ones.
const [PORT, RECEIVER_PORT] = [await freePort(), await freePort()];
export const EDGE = `https://localhost:${PORT}`;
/** Who is pushed to, as senders see it; and as this machine does. */
const RECEIVER = "http://receiver:9000";
const RECEIVER_HERE = `http://127.0.0.1:${RECEIVER_PORT}`;

/**
 * Networks of containers are private ones: an operator says that they may be pushed to, and that the proxy is
 * in one.
 */
const NETWORKS = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,198.18.0.0/15";
const ENVIRONMENT = {
  COMPOSE_FILE: FILES,
  COMPOSE_PROJECT_NAME: PROJECT,
  PUSH_ALLOW_CIDRS: NETWORKS,
  TRUSTED_PROXIES: NETWORKS,
  PORT: String(PORT),
  RECEIVER_PORT: String(RECEIVER_PORT),
  SIGN_UPS_PER_HOUR: "100000",
  RATE_LIMITS: "off",
  RATE_LIMIT_EXEMPT: "198.18.250.1/32", // this machine
};

/** Whether there is an engine to run it on. */
export async function hasEngine(): Promise<boolean> {
  return run("docker", ["compose", "version"])
    .then(() => run("docker", ["info"]))
    .then(
      () => true,
      () => false,
    );
}

/** Runs a program in the project's folder, for the deployment of the tests; returns what it printed. */
export async function shell(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...ENVIRONMENT },
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  return stdout;
}

export const docker = (...args: string[]): Promise<string> => shell("docker", ...args);

/** `docker compose …`. */
export const compose = (...args: string[]): Promise<string> => docker("compose", ...args);

/** Starts the deployment with nothing of before. */
export async function deploy(): Promise<void> {
  await compose("--profile", "*", "down", "--volumes", "--remove-orphans");
  const startedAt = performance.now();
  await compose("up", "--build", "--detach", "--wait");
  figure("from nothing to healthy, with building", msSince(startedAt));
  // As from a client with a pool: when nginx is away, what waits must not all shake hands anew at once.
  globalAgent.maxSockets = MAX_CONNECTIONS;
  globalAgent.options.ca = await readFile(`${ROOT}/certs/certificate.pem`, "utf8");
}

/** Takes it down, and its data with it. */
export async function tearDown(): Promise<void> {
  globalAgent.destroy();
  await compose("--profile", "*", "down", "--volumes", "--remove-orphans");
}

/** Ids of the running containers of a service, in the order of their numbers. @throws where there are none. */
export async function containersOf(service: string): Promise<string[]> {
  const filter = (label: string) => ["--filter", `label=com.docker.compose.${label}`];
  const format = '{{.Label "com.docker.compose.container-number"}} {{.ID}}';
  const args = [...filter(`project=${PROJECT}`), ...filter(`service=${service}`), "--no-trunc", "--format", format];
  const lines = (await docker("ps", ...args)).trim().split("\n");
  const containers = lines.map((line) => line.split(" ") as [string, string]).sort(([a], [b]) => Number(a) - Number(b));
  if (lines[0] === "") throw new Error(`no container of ${service} runs`);
  return containers.map(([, id]) => id);
}

/**
 * Ends what runs in a container, as the kernel does when memory runs out. (After `docker kill` it would not
 * be started again.)
 */
export async function killHard(container: string): Promise<void> {
  const pid = (await docker("inspect", "--format", "{{.State.Pid}}", container)).trim();
  await docker("run", "--rm", "--pid", "host", "--cap-add", "KILL", "node:24-slim", "sh", "-c", `kill -9 ${pid}`);
}

/** Waits until a container that was killed runs again, and is healthy. */
export async function recovered(container: string, startedBefore: string): Promise<void> {
  await waitFor(
    async () => {
      const state = await docker("inspect", "--format", "{{.State.StartedAt}} {{.State.Health.Status}}", container);
      const [startedAt, health] = state.trim().split(" ");
      return startedAt !== startedBefore && health === "healthy";
    },
    { what: "a killed container to be healthy again", timeoutMs: 90_000 },
  );
}

export const startedAt = async (container: string): Promise<string> =>
  (await docker("inspect", "--format", "{{.State.StartedAt}}", container)).trim();

/** Reads what was pushed to the receiver, in the order of its coming. */
export class Arrivals {
  readonly all: Arrival[] = [];
  readonly #ids = new Set<string>();

  async #read(): Promise<void> {
    const { text } = await http(`${RECEIVER_HERE}/arrivals?from=${this.all.length}`);
    for (const arrival of JSON.parse(text) as Arrival[]) {
      this.all.push(arrival);
      this.#ids.add(arrival.id);
    }
  }

  /** The receiver began anew. */
  forget(): void {
    this.all.length = 0;
    this.#ids.clear();
  }

  /** Waits until all these messages have arrived. */
  async include(ids: Iterable<string>, timeoutMs = 120_000): Promise<void> {
    let missing = [...ids];
    await waitFor(
      async () => {
        await this.#read();
        missing = missing.filter((id) => !this.#ids.has(id));
        return missing.length === 0;
      },
      { what: "all that was answered to arrive", timeoutMs },
    ).catch((error: unknown) => {
      throw new Error(`${missing.length} messages that were answered did not arrive: ${missing.slice(0, 5).join(", ")}`, {
        cause: error,
      });
    });
  }
}

/** People who are pushed what they are sent, each at a path of the receiver. */
export const makePeople = (count: number): Promise<Person[]> => makePeopleAt(EDGE, RECEIVER, count);

const loads = new Set<SteadyLoad>();

/** Ends what a test that failed has left running: after each test. */
export async function stopLoads(): Promise<void> {
  for (const load of loads) await load.stop();
  loads.clear();
}

/** Messages from each to the next, in turn. */
export function startLoad(people: readonly Person[], perSecond: number): SteadyLoad {
  let n = 0;
  const load = startSteadyLoad({
    perSecond,
    maxUnderway: MAX_CONNECTIONS,
    next() {
      n += 1;
      const [from, to] = [people[n % people.length], people[(n + 1) % people.length]];
      return { url: EDGE, from: from as Person, to: to as Person };
    },
  });
  loads.add(load);
  return load;
}

/** The same, once requests flow. */
export async function underLoad(people: readonly Person[], perSecond: number): Promise<SteadyLoad> {
  const load = startLoad(people, perSecond);
  await waitFor(() => load.answered.size > perSecond, { what: "a second's load to be answered" });
  return load;
}

/** Ends the load: all that was answered arrived, and in order. */
export async function expectNothingLost(load: SteadyLoad, arrivals: Arrivals, what: string): Promise<void> {
  await load.stop();
  await arrivals.include(load.answered);
  expectInOrder(arrivals.all);
  const answers = JSON.stringify(Object.fromEntries(load.reasons));
  figure(what, `${answers}; 0 lost, in order, ${repeats(arrivals.all).length} repeats so far`);
  expect(load.answered.size).toBeGreaterThan(0);
}

interface ConsumerRow {
  queue_name: string;
  consumer_tag: string;
  active: boolean;
}

/** How many partitions each sender consumes at the moment, by its host's name. */
export async function partitionsBySender(): Promise<ReadonlyMap<string, number>> {
  const args = ["list_consumers", "--quiet", "--formatter", "json", "queue_name", "consumer_tag", "active"];
  const rows = JSON.parse(await compose("exec", "-T", "rabbitmq", "rabbitmqctl", ...args)) as ConsumerRow[];
  const counts = new Map<string, number>();
  for (const { queue_name: queue, consumer_tag: tag, active } of rows) {
    if (!queue.includes(".push.")) continue;
    const host = tag.split("/")[0] as string;
    counts.set(host, (counts.get(host) ?? 0) + (active ? 1 : 0));
  }
  return counts;
}
