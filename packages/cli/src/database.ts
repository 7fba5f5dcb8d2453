import { readSettings, secretUrl } from "@messenger/runtime";
import { openStore, type Store } from "@messenger/store";

const LOCK_TIMEOUT_MS = 2_000;

/** Runs `use` on the database of `DATABASE_URL`, and closes it. */
export async function withDatabase<Result>(env: NodeJS.ProcessEnv, use: (store: Store) => Promise<Result>): Promise<Result> {
  const { databaseUrl } = readSettings({ databaseUrl: secretUrl("DATABASE_URL", ["postgres:", "postgresql:"]) }, env);
  // A command may take as long as it needs; it does not hold up others while it waits for a lock.
  const store = await openStore({ url: databaseUrl, maxConnections: 2, statementTimeoutMs: 0, lockTimeoutMs: LOCK_TIMEOUT_MS });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}
