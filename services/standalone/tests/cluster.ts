import {
  createTestDatabase,
  deleteNamespace,
  deploymentSettings,
  printed,
  type ServiceProcess,
  startService,
  type TestDatabase,
  testNamespace,
} from "@messenger/testkit";
import { inject } from "vitest";
import { SECRET } from "./deployments.ts";

export const PARTITIONS = 16;

/** Listeners and senders as processes, on a database and a namespace of their own. */
export interface Cluster {
  readonly database: TestDatabase;
  readonly amqpUrl: string;
  readonly namespace: string;
  /** Where the listeners listen that run. */
  urls: () => readonly string[];
  /** Starts one more, with the cluster's settings but for these. */
  startListener(more?: Readonly<Record<string, string>>): Promise<ServiceProcess>;
  startSender(more?: Readonly<Record<string, string>>): Promise<ServiceProcess>;
  senders(): readonly ServiceProcess[];
  /** Ends a process; it is then no longer one of the cluster's. */
  end(process: ServiceProcess, signal: NodeJS.Signals): Promise<void>;
  close(): Promise<void>;
}

export async function openCluster(amqpUrl: string, more: Readonly<Record<string, string>> = {}): Promise<Cluster> {
  const database = await createTestDatabase(inject("databaseUrl"));
  const namespace = testNamespace();
  const listeners = new Map<ServiceProcess, string>();
  const senders = new Set<ServiceProcess>();
  const settings = {
    ...deploymentSettings({ databaseUrl: database.url, amqpUrl, namespace, partitions: PARTITIONS, secret: SECRET }),
    LOG_LEVEL: "info",
    ...more,
  };

  async function end(process: ServiceProcess, signal: NodeJS.Signals): Promise<void> {
    listeners.delete(process);
    senders.delete(process);
    await process.kill(signal);
  }

  return {
    database,
    amqpUrl,
    namespace,
    urls: () => [...listeners.values()],
    async startListener(changed = {}) {
      const process = startService("listener", { ...settings, ...changed });
      listeners.set(process, await printed(process, /"url":"(http:[^"]+)"/u));
      return process;
    },
    async startSender(changed = {}) {
      const process = startService("sender", { ...settings, ...changed });
      await printed(process, /"msg":"pushing"/u);
      senders.add(process);
      return process;
    },
    senders: () => [...senders],
    end,
    async close() {
      await Promise.all([...listeners.keys(), ...senders].map((process) => end(process, "SIGKILL")));
      await database.drop();
      await deleteNamespace(amqpUrl, namespace, PARTITIONS);
    },
  };
}
