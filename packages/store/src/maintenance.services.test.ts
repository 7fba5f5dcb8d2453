import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createEmbeddedMaintenance } from "./maintenance.ts";
import { openStore, type Store } from "./open-store.ts";
import { migrate } from "./schema.ts";

const MIB = 1024 * 1024;
const SEGMENT_BYTES = 16 * MIB;

let folder: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "messenger-store-"));
  store = await openStore({ url: `pglite:${folder}` });
  await migrate(store.db);
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

async function logBytes(): Promise<number> {
  const files = await readdir(join(folder, "pg_wal"));
  return files.filter((name) => /^[0-9A-F]{24}$/u.test(name)).length * SEGMENT_BYTES;
}

/**
 * The server keeps as many used segments as were written between checkpoints lately, and some more, unless it
 * is told not to.
 */
it("makes the write-ahead log of an embedded database small again after a burst", { timeout: 60_000 }, async () => {
  const maintain = createEmbeddedMaintenance(store.db, () => 0);
  await maintain();
  await sql`create table burst (text text)`.execute(store.db);
  while ((await logBytes()) < 160 * MIB) {
    await sql`insert into burst select repeat(md5(random()::text), 50) from generate_series(1, 2500)`.execute(store.db);
  }
  await maintain();
  expect(await logBytes()).toBeLessThanOrEqual(64 * MIB);
});
