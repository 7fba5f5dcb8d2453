import { recoverFromFailOver, repair } from "@messenger/store";
import type { Given } from "./given.ts";
import { withDatabase } from "./database.ts";

export async function repairQueue(env: NodeJS.ProcessEnv, { values }: Given): Promise<number> {
  const failedOver = values["after-failover"] === true;
  const endpoints = await withDatabase(env, (store) => (failedOver ? recoverFromFailOver(store.db) : repair(store.db)));
  if (failedOver)
    process.stdout.write("The log has a new incarnation: what processes and the broker knew before counts no more.\n");
  process.stdout.write(`Made ${endpoints} endpoints due that were behind.\n`);
  return 0;
}
