import {
  countQueued,
  createTestDatabase,
  deleteNamespace,
  deploymentSettings,
  printed,
  type ServiceProcess,
  startService,
  testNamespace,
  waitFor,
} from "@messenger/testkit";
import { type Broker, openBroker } from "@messenger/broker";
import { createKeyring, systemRandom } from "@messenger/core";
import type { Db } from "@messenger/store";
import type { Bench } from "./scenario.ts";
import { SECRET } from "./world.ts";

const PARTITIONS = 16;

export interface RunningListener {
  url: string;
  process: ServiceProcess;
}

/** A database and a namespace of a side's own on the servers of the run, and Messenger's processes on them. */
export interface Deployment {
  readonly db: Db;
  readonly databaseUrl: string;
  readonly amqpUrl: string;
  readonly namespace: string;
  /** A broker of the bench's own, to make a backlog with. */
  openBroker(): Promise<Broker>;
  startListener(more?: Record<string, string>): Promise<RunningListener>;
  startSender(more?: Record<string, string>): Promise<ServiceProcess>;
  /** Resolves when no partition holds a message any more. */
  untilQueuesAreEmpty(): Promise<void>;
  close(): Promise<void>;
}

export async function deploy(bench: Bench): Promise<Deployment> {
  const [postgres, rabbit] = [await bench.servers.postgres(), await bench.servers.rabbit()];
  const database = await createTestDatabase(postgres.url);
  const namespace = testNamespace();
  const processes: ServiceProcess[] = [];
  const brokers: Broker[] = [];
  const profiling = bench.profiles === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${bench.profiles}`];
  /** These settings beside those of all processes; options of Node beside those that make a profile. */
  const settingsWith = (more: Record<string, string>): Record<string, string> => {
    const options = [...profiling, ...(more["NODE_OPTIONS"]?.split(" ") ?? [])];
    return { ...settings, ...more, ...(options.length === 0 ? {} : { NODE_OPTIONS: options.join(" ") }) };
  };
  const settings = {
    ...deploymentSettings({
      databaseUrl: database.url,
      amqpUrl: rabbit.url,
      namespace,
      partitions: PARTITIONS,
      secret: SECRET,
    }),
    LOG_LEVEL: "info", // as it is run, every request with its line
  };
  return {
    db: database.store.db,
    databaseUrl: database.url,
    amqpUrl: rabbit.url,
    namespace,
    async openBroker() {
      const broker = await openBroker({
        url: rabbit.url,
        namespace,
        partitions: PARTITIONS,
        sealer: createKeyring({ secret: SECRET, random: systemRandom }).bundles,
        coverPartitions: () => Promise.resolve(), // nothing was appended yet
        onProblem: ({ kind }) => {
          if (kind !== "partition-missing") throw new Error(`the bench's broker: ${kind}`);
        },
      });
      brokers.push(broker);
      return broker;
    },
    async startListener(more = {}) {
      const process = startService("listener", settingsWith(more));
      processes.push(process);
      return { process, url: await printed(process, /"url":"(http:[^"]+)"/u) };
    },
    async startSender(more = {}) {
      const process = startService("sender", settingsWith(more));
      processes.push(process);
      await printed(process, /"msg":"pushing"/u);
      return process;
    },
    async untilQueuesAreEmpty() {
      const isEmpty = async (): Promise<boolean> => (await countQueued(rabbit.url, namespace, PARTITIONS)) === 0;
      await waitFor(isEmpty, { what: "the queues to be empty", timeoutMs: 120_000 });
    },
    async close() {
      for (const process of processes) await process.kill("SIGTERM");
      for (const broker of brokers) await broker.close();
      await deleteNamespace(rabbit.url, namespace, PARTITIONS);
      await database.drop();
    },
  };
}
