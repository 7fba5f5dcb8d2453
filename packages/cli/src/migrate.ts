import { migrate } from "@messenger/store";
import { withDatabase } from "./database.ts";

export async function migrateDatabase(env: NodeJS.ProcessEnv): Promise<number> {
  const ran = await withDatabase(env, (store) => migrate(store.db));
  process.stdout.write(ran.length === 0 ? "The schema is up to date.\n" : `Migrated: ${ran.join(", ")}.\n`);
  return 0;
}
