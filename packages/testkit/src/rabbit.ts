import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "amqplib";
import { startContainer } from "./container.ts";
import { freePort } from "./free-port.ts";
import { findProgram, installPackage } from "./installed.ts";
import { type BreakableServer, firstOf, type Server, type Way } from "./server.ts";
import { waitFor } from "./wait-for.ts";

async function accepts(url: string): Promise<true> {
  const connection = await connect(url, { timeout: 2_000 });
  connection.on("error", () => undefined); // it is being closed
  await connection.close();
  return true;
}

const ready = (url: string): Promise<true> => waitFor(() => accepts(url), { what: "RabbitMQ to answer", timeoutMs: 90_000 });

const fromContainer: Way = () =>
  startContainer({
    image: "rabbitmq:4",
    port: 5672,
    env: { RABBITMQ_DEFAULT_USER: "test", RABBITMQ_DEFAULT_PASS: "test" },
    url: (port) => `amqp://test:test@127.0.0.1:${port}`,
    ready,
  });

const CONFIGURATION = `
listeners.tcp.default = 127.0.0.1:PORT
loopback_users = none
disk_free_limit.absolute = 50MB
log.file.level = warning
`;

/** A private node of the installed server: its own folder, ports and name service. */
const fromInstalled: Way = async () => {
  // Debian's wrapper in the PATH insists on a user of its own; the program behind it does not.
  const server = await findProgram("rabbitmq-server", ["/usr/lib/rabbitmq/bin"]);
  const epmd = await findProgram("epmd");
  if (server === undefined || epmd === undefined) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "messenger-rabbit-"));
  const data = join(folder, "data");
  const [port, distPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  const configuration = join(folder, "rabbitmq.conf");
  const plugins = join(folder, "enabled_plugins");
  await writeFile(configuration, CONFIGURATION.replace("PORT", String(port)));
  await writeFile(plugins, "[].\n");
  const env = {
    ...process.env,
    HOME: folder,
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_NODENAME: `messenger-${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_CONFIG_FILE: configuration,
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_MNESIA_BASE: data,
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+sbwt none +sbwtdcpu none +sbwtdio none",
  };
  const names = spawn(epmd, ["-port", String(epmdPort)], { env, stdio: "ignore" });
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    await mkdir(data, { recursive: true });
    // A group of its own: the script starts the node as a child.
    child = spawn(server as string, [], { env, cwd: folder, stdio: "ignore", detached: true });
    await ready(url);
  }

  async function kill(): Promise<void> {
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, "SIGKILL");
    await once(child, "exit");
  }

  await start();
  return {
    url,
    folder: data,
    origin: "the RabbitMQ installed on this machine",
    get pid() {
      return child?.pid;
    },
    kill,
    async destroy() {
      await kill();
      await rm(data, { recursive: true, force: true });
    },
    startAgain: start,
    async stop() {
      await kill();
      names.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/** A server of the caller's own, which it may break. */
export function startRabbit(): Promise<BreakableServer> {
  return firstOf("RabbitMQ", [
    { origin: "a Docker engine", way: fromContainer },
    { origin: "an installed server", way: fromInstalled },
    { origin: "a package", way: async () => ((await installPackage("rabbitmq-server")) ? fromInstalled() : undefined) },
  ]);
}

/** The server for all tests of a run: the one that was given, or one of its own. */
export async function findRabbit(): Promise<Server> {
  const given = process.env["TEST_AMQP_URL"];
  if (given === undefined || given === "") return startRabbit();
  await ready(given);
  return { url: given, origin: "TEST_AMQP_URL", stop: () => Promise.resolve() };
}

/** Deletes all queues of a namespace, and its exchange. */
export async function deleteNamespace(url: string, namespace: string, partitions: number): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  for (let partition = 0; partition < partitions; partition += 1) await channel.deleteQueue(`${namespace}.push.${partition}`);
  await channel.deleteQueue(`${namespace}.dead`);
  await channel.deleteExchange(`${namespace}.events`);
  await connection.close();
}

/** How many messages wait in the partitions of a namespace, those that nobody has acknowledged left out. */
export async function countQueued(url: string, namespace: string, partitions: number): Promise<number> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  let count = 0;
  for (let partition = 0; partition < partitions; partition += 1) {
    count += (await channel.checkQueue(`${namespace}.push.${partition}`)).messageCount;
  }
  await connection.close();
  return count;
}
