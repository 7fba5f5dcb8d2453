import { readSettings, secretUrl } from "@messenger/runtime";
import { openStore, type Store } from "@messenger/store";

/** Runs `use` on the database of `DATABASE_URL`, and closes it. */
export async function withDatabase<Result>(env: NodeJS.ProcessEnv, use: (store: Store) => Promise<Result>): Promise<Result> {
  const { databaseUrl } = readSettings({ databaseUrl: secretUrl("DATABASE_URL", ["postgres:", "postgresql:"]) }, env);
  const store = await openStore({ url: databaseUrl, maxConnections: 2 });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}
