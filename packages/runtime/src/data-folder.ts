import { chmod, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type FolderLock, lockFolder } from "./folder-lock.ts";

/** The folder of an embedded Messenger, taken for this process alone. */
export interface DataFolder extends FolderLock {
  path: string;
  databaseUrl: string;
}

/**
 * Takes a data folder, and makes it where there is none.
 * @throws {FolderInUse} where another process has it.
 */
export async function openDataFolder(dataDir: string): Promise<DataFolder> {
  const path = resolve(dataDir);
  await mkdir(path, { recursive: true, mode: 0o700 });
  // The folder itself may have been there, open to others: the database in it is not.
  const databaseDir = join(path, "postgres");
  await mkdir(databaseDir, { recursive: true, mode: 0o700 });
  await chmod(databaseDir, 0o700);
  const lock = await lockFolder(path);
  return { path, databaseUrl: `pglite:${databaseDir}`, release: () => lock.release() };
}
