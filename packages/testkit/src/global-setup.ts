import type { TestProject } from "vitest/node";
import { findPostgres } from "./postgres.ts";
import { findRabbit } from "./rabbit.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseUrl: string;
    amqpUrl: string;
  }
}

/** Finds or starts PostgreSQL and RabbitMQ for all tests of a run, and stops what it started. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, rabbit] = await Promise.all([findPostgres(), findRabbit()]);
  process.stderr.write(`Tests run on ${postgres.origin}, and ${rabbit.origin}\n`);
  project.provide("databaseUrl", postgres.url);
  project.provide("amqpUrl", rabbit.url);
  return async () => {
    await Promise.all([postgres.stop(), rabbit.stop()]);
  };
}
