import { existsSync } from "node:fs";
import { join } from "node:path";
import { createKeyring, type Keyring, systemRandom } from "@messenger/core";
import {
  masterSecret,
  openDataFolder,
  optional,
  optionalMasterSecrets,
  ownSecret,
  readSettings,
  secretUrl,
  string,
} from "@messenger/runtime";
import { migrate, openStore, type Store } from "@messenger/store";

const LOCK_TIMEOUT_MS = 2_000;

/** A command may take as long as it needs; it does not hold up others while it waits for a lock. */
const PATIENT = { maxConnections: 2, statementTimeoutMs: 0, lockTimeoutMs: LOCK_TIMEOUT_MS };

const databaseUrl = secretUrl("DATABASE_URL", ["postgres:", "postgresql:"]);

/** Runs `use` on the database of `DATABASE_URL`, and closes it. */
export async function withDatabase<Result>(env: NodeJS.ProcessEnv, use: (store: Store) => Promise<Result>): Promise<Result> {
  return withStore(await openStore({ url: readSettings({ databaseUrl }, env).databaseUrl, ...PATIENT }), use);
}

async function withStore<Result>(store: Store, use: (store: Store) => Promise<Result>): Promise<Result> {
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

/**
 * The same; without `DATABASE_URL`, on the embedded database in `DATA_DIR`, whose Messenger must be stopped.
 * `folder` is undefined where it is a server's.
 */
export async function withAnyDatabase<Result>(
  env: NodeJS.ProcessEnv,
  use: (store: Store, folder: string | undefined) => Promise<Result>,
): Promise<Result> {
  const given = readSettings({ databaseUrl: optional(databaseUrl), dataDir: string("DATA_DIR", { fallback: "./data" }) }, env);
  if (given.databaseUrl !== undefined) return withDatabase(env, (store) => use(store, undefined));
  if (!existsSync(join(given.dataDir, "postgres"))) {
    throw new Error(`there is no DATABASE_URL, and no embedded database in ${given.dataDir} (DATA_DIR)`);
  }
  const folder = await openDataFolder(given.dataDir);
  try {
    return await withStore(await openStore({ url: folder.databaseUrl, ...PATIENT }), async (store) => {
      await migrate(store.db);
      return use(store, folder.path);
    });
  } finally {
    await folder.release();
  }
}

/** The keys of `MESSENGER_SECRET`; without it, of the secret in an embedded database's folder. */
export async function keyringOf(env: NodeJS.ProcessEnv, folder: string | undefined): Promise<Keyring> {
  const given = readSettings(
    { secret: optional(masterSecret("MESSENGER_SECRET")), previous: optionalMasterSecrets("MESSENGER_SECRET_PREVIOUS") },
    env,
  );
  const secret = given.secret ?? (folder === undefined ? undefined : await ownSecret(folder));
  if (secret === undefined) throw new Error("MESSENGER_SECRET: it must be set (or MESSENGER_SECRET_FILE)");
  return createKeyring({ secret, previous: given.previous, random: systemRandom });
}
