/**
 * Pushes jobs of graphile-worker. Settings: DATABASE_URL; TUNED=1 takes jobs and reports them in batches,
 * which its documentation recommends for many small jobs.
 */
import { Logger, run } from "graphile-worker";
import { CONCURRENCY, env, push, type PushJob } from "./push-client.ts";

const tuned = {
  worker: {
    completeJobBatchDelay: 5,
    failJobBatchDelay: 5,
    localQueue: { size: 1_000, ttl: 60_000, refetchDelay: { durationMs: 10 } },
  },
};
await run({
  connectionString: env("DATABASE_URL"),
  concurrency: CONCURRENCY,
  maxPoolSize: 20,
  noHandleSignals: true,
  logger: new Logger(() => () => undefined),
  taskList: { push: (job) => push(job as PushJob) },
  ...(env("TUNED") === "1" ? { preset: tuned } : {}),
});
process.stdout.write("working\n");
