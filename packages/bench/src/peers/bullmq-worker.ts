/** Pushes jobs of a BullMQ queue. Settings: REDIS_URL. */
import { Worker } from "bullmq";
import { Redis } from "ioredis";
import { CONCURRENCY, env, push, type PushJob } from "./push-client.ts";

const worker = new Worker<PushJob>("pushes", ({ data }) => push(data), {
  connection: new Redis(env("REDIS_URL"), { maxRetriesPerRequest: null }),
  concurrency: CONCURRENCY,
  removeOnComplete: { count: 0 },
});
worker.on("error", (error) => process.stderr.write(`${error.stack}\n`));
process.stdout.write("working\n");
