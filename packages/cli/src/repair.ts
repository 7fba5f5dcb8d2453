import { repair } from "@messenger/store";
import { withDatabase } from "./database.ts";

export async function repairQueue(env: NodeJS.ProcessEnv): Promise<number> {
  const endpoints = await withDatabase(env, (store) => repair(store.db));
  process.stdout.write(`Made ${endpoints} endpoints due that were behind.\n`);
  return 0;
}
