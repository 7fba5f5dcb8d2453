/** Pushes jobs of pg-boss, a batch at a time. Settings: DATABASE_URL. */
import { PgBoss } from "pg-boss";
import { CONCURRENCY, env, push, type PushJob } from "./push-client.ts";

const boss = new PgBoss({ connectionString: env("DATABASE_URL"), max: 20, supervise: false, schedule: false });
boss.on("error", (error) => process.stderr.write(`${error.stack}\n`));
await boss.start();
await boss.work<PushJob>(
  "pushes",
  { batchSize: CONCURRENCY / 2, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true, localConcurrency: 2 },
  async (jobs) => {
    await Promise.all(jobs.map(({ data }) => push(data)));
  },
);
process.stdout.write("working\n");
