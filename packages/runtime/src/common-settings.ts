import { LOG_LEVELS } from "./log.ts";
import { tracingSettings } from "./tracing.ts";
import { integer, masterSecret, oneOf, optionalMasterSecrets, secretUrl, string } from "./settings.ts";

/** The settings of every process that runs on real Postgres and RabbitMQ. */
export const serviceSettings = {
  databaseUrl: secretUrl("DATABASE_URL", ["postgres:", "postgresql:"]),
  databaseConnections: integer("DATABASE_CONNECTIONS", { fallback: 10, min: 3, max: 100 }),
  amqpUrl: secretUrl("AMQP_URL", ["amqp:", "amqps:"]),
  amqpNamespace: string("AMQP_NAMESPACE", { fallback: "messenger" }),
  partitions: integer("PARTITIONS", { fallback: 16, min: 1, max: 256 }),
  secret: masterSecret("MESSENGER_SECRET"),
  previousSecrets: optionalMasterSecrets("MESSENGER_SECRET_PREVIOUS"),
  ...tracingSettings,
  logLevel: oneOf("LOG_LEVEL", LOG_LEVELS, "info"),
  metricsPort: integer("METRICS_PORT", { fallback: 9464, min: 0, max: 65_535 }),
  metricsHost: string("METRICS_HOST", { fallback: "127.0.0.1" }),
};
