import type { Broker, BrokerProblem } from "@messenger/broker";
import type { Store } from "@messenger/store";
import { Counter, Gauge, type Registry } from "./metrics.ts";

export interface BackendMetrics {
  onProblem(kind: BrokerProblem["kind"]): void;
  /** Says whose state the gauges show. */
  observe(backends: { store: Store; broker: Broker }): void;
}

const KINDS: readonly BrokerProblem["kind"][] = ["connection-lost", "connect-failed", "partition-missing", "poison", "sealed"];

/** What every process tells of its connections to PostgreSQL and RabbitMQ. */
export function createBackendMetrics(registry: Registry): BackendMetrics {
  const registers = [registry];
  const problems = new Counter({
    name: "messenger_broker_problems_total",
    help: "What went wrong with the broker and was put right: connections lost, queues missing, messages that could not be read",
    labelNames: ["kind"],
    registers,
  });
  // From zero: the first of a kind would otherwise be no increase.
  for (const kind of KINDS) problems.inc({ kind }, 0);
  return {
    onProblem: (kind) => problems.inc({ kind }),
    observe({ store, broker }) {
      new Gauge({
        name: "messenger_broker_connected",
        help: "1 while this process is connected to the broker",
        registers,
        collect() {
          this.set(Number(broker.connected));
        },
      });
      new Gauge({
        name: "messenger_broker_blocked",
        help: "1 while the broker is short of memory or disk and takes nothing",
        registers,
        collect() {
          this.set(Number(broker.blocked));
        },
      });
      if (store.embedded) return;
      new Gauge({
        name: "messenger_database_connections",
        help: "Connections to the database, and statements that wait for one",
        labelNames: ["state"],
        registers,
        collect() {
          for (const [state, count] of Object.entries(store.connections() ?? {})) this.set({ state }, count);
        },
      });
    },
  };
}
