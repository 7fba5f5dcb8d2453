import { type Broker, type BrokerProblem, openBroker } from "@messenger/broker";
import { createKeyring, type Keyring, systemRandom } from "@messenger/core";
import { agree, isUnavailable, openStore, repair, type Store } from "@messenger/store";
import { createBackendMetrics } from "./backend-metrics.ts";
import type { Closing } from "./close-all.ts";
import type { Logger } from "./log.ts";
import type { Registry } from "./metrics.ts";
import { CannotStart } from "./run.ts";

export interface BackendOptions {
  databaseUrl: string;
  databaseConnections?: number;
  /** See `StoreOptions`. */
  statementTimeoutMs?: number;
  amqpUrl: string;
  amqpNamespace?: string;
  partitions: number;
  secret: string;
  previousSecrets: readonly string[];
  registry: Registry;
  /** Called once the store is open, before anything is read from it. */
  prepare?(store: Store): Promise<void>;
}

export interface Backends {
  store: Store;
  broker: Broker;
  keyring: Keyring;
}

function logProblem(log: Logger, problem: BrokerProblem): void {
  switch (problem.kind) {
    case "connection-lost":
      log.warn({ err: problem.error }, "the broker's connection was lost; connecting again");
      return;
    case "connect-failed":
      log.warn({ err: problem.error, retryInMs: problem.retryInMs }, "the broker could not be connected to");
      return;
    case "partition-missing":
      log.warn({ partition: problem.partition }, "a partition's queue is missing: covering its inboxes, then making it");
      return;
    case "poison":
      log.error({ err: problem.error }, "a message could not be read; it was put into the dead queue");
      return;
    case "sealed":
      log.warn({ err: problem.error }, "what came from the broker could not be unsealed: it is read from the database");
  }
}

/**
 * Opens what every process stands on: the keys, the store, checked against what the deployment agreed on, and
 * the broker.
 * @throws {StoreMismatch} where this process must not run on this database.
 * @throws {CannotStart} where the database does not answer.
 */
export async function openBackends(options: BackendOptions, log: Logger, closing: Closing): Promise<Backends> {
  const metrics = createBackendMetrics(options.registry);
  const keyring = createKeyring({ secret: options.secret, previous: options.previousSecrets, random: systemRandom });
  const store = await openStore({
    url: options.databaseUrl,
    maxConnections: options.databaseConnections,
    statementTimeoutMs: options.statementTimeoutMs,
    onFailOver: (endpoints) =>
      log.error(
        { endpoints },
        "another PostgreSQL answers than before, which may be older: endpoints that are behind were made due",
      ),
    onError: (error) => log.warn({ err: error }, "a database connection broke"),
  });
  closing.add(() => store.close());
  await options.prepare?.(store);
  const agreement = { partitions: options.partitions, keyChecks: keyring.checks, rememberIdentity: !store.embedded };
  await agree(store.db, agreement).catch((error: unknown) => {
    throw isUnavailable(error)
      ? new CannotStart(`the database does not answer: ${(error as Error).message}`, { cause: error })
      : error;
  });
  const broker = await openBroker({
    url: options.amqpUrl,
    namespace: options.amqpNamespace,
    partitions: options.partitions,
    sealer: keyring.bundles,
    async coverPartitions(partitions) {
      const endpoints = await repair(store.db, { partitions, of: options.partitions });
      if (endpoints > 0) log.info({ partitions, endpoints }, "endpoints that are behind were made due");
    },
    onProblem(problem) {
      metrics.onProblem(problem.kind);
      logProblem(log, problem);
    },
  });
  closing.add(() => broker.close());
  metrics.observe({ store, broker });
  return { store, broker, keyring };
}
