import type { TestProject } from "vitest/node";
import { findPostgres } from "./postgres.ts";
import { findRabbit } from "./rabbit.ts";
import type { Server } from "./server.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseUrl: string;
    amqpUrl: string;
  }
}

/** Finds or starts PostgreSQL and RabbitMQ for all tests of a run, and stops what it started. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const found = await Promise.allSettled([findPostgres(), findRabbit()]);
  const failed = found.find((server) => server.status === "rejected");
  if (failed !== undefined) {
    for (const server of found) if (server.status === "fulfilled") await server.value.stop();
    throw failed.reason;
  }
  const [postgres, rabbit] = found.map((server) => (server as PromiseFulfilledResult<Server>).value) as [Server, Server];
  process.stderr.write(`Tests run on ${postgres.origin}, and ${rabbit.origin}\n`);
  project.provide("databaseUrl", postgres.url);
  project.provide("amqpUrl", rabbit.url);
  return async () => {
    await Promise.all([postgres.stop(), rabbit.stop()]);
  };
}
