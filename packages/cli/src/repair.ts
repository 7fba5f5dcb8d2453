import { recoverFromFailOver, repair } from "@messenger/store";
import { withDatabase } from "./database.ts";

export async function repairQueue(env: NodeJS.ProcessEnv, options: ReadonlySet<string>): Promise<number> {
  const failedOver = options.has("--after-failover");
  const endpoints = await withDatabase(env, (store) => (failedOver ? recoverFromFailOver(store.db) : repair(store.db)));
  if (failedOver)
    process.stdout.write("The log has a new incarnation: what processes and the broker knew before counts no more.\n");
  process.stdout.write(`Made ${endpoints} endpoints due that were behind.\n`);
  return 0;
}
