import { sql } from "kysely";
import { Migrator } from "kysely/migration";
import type { Db } from "./database.ts";
import { rememberIdentity } from "./fail-over.ts";
import { migrations, SCHEMA_VERSION } from "./migrations/index.ts";

/** A database that this program must not run on; the message says why and what to do. */
export class StoreMismatch extends Error {
  override readonly name = "StoreMismatch";
}

function migrator(db: Db): Migrator {
  return new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } });
}

async function appliedMigrations(db: Db): Promise<number> {
  const found = await sql<{ found: boolean }>`select to_regclass('kysely_migration') is not null as found`.execute(db);
  if (found.rows[0]?.found !== true) return 0;
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
  const unknown = rows.find((row) => !(row.name in migrations));
  if (unknown !== undefined) {
    throw new StoreMismatch(`the database has migration ${unknown.name}, which this version does not know: run a newer version`);
  }
  return rows.length;
}

/**
 * Brings the schema up to this version; returns the names of the migrations that it ran. Two at the same time wait for each other.
 * @throws {StoreMismatch} when the database is ahead of this version.
 */
export async function migrate(db: Db): Promise<readonly string[]> {
  await appliedMigrations(db);
  const { error, results } = await migrator(db).migrateToLatest();
  if (error !== undefined) throw new Error("the schema could not be migrated", { cause: error });
  return (results ?? []).map((result) => result.migrationName);
}

/** What all processes of a deployment must agree on. */
export interface Agreement {
  partitions: number;
  /** Whether to remember which PostgreSQL this is; an embedded one is what it is. */
  rememberIdentity?: boolean;
  /** Of the keyring: see `Keyring.checks`. */
  keyChecks: { current: string; known: readonly string[] };
}

/**
 * Checks that the schema is this version's, and that the settings are those of the processes that ran on this database before; the first
 * one lays them down. A changed secret is laid down by the first process that knows the one before, too.
 * @throws {StoreMismatch}
 */
export async function agree(db: Db, agreement: Agreement): Promise<void> {
  const applied = await appliedMigrations(db);
  if (applied < SCHEMA_VERSION) {
    throw new StoreMismatch(
      `the database has schema version ${applied}, this version needs ${SCHEMA_VERSION}: run "messenger migrate" first`,
    );
  }
  if (agreement.rememberIdentity === true) await rememberIdentity(db);
  await db
    .insertInto("meta")
    .values([
      { key: "partitions", value: String(agreement.partitions) },
      { key: "key_check", value: agreement.keyChecks.current },
    ])
    .onConflict((conflict) => conflict.column("key").doNothing())
    .execute();
  const rows = await db.selectFrom("meta").selectAll().execute();
  const value = (key: string): string | undefined => rows.find((row) => row.key === key)?.value;
  if (value("partitions") !== String(agreement.partitions)) {
    throw new StoreMismatch(
      `PARTITIONS is ${agreement.partitions} here, but this deployment was set up with ${value("partitions")}`,
    );
  }
  const check = value("key_check");
  if (check === agreement.keyChecks.current) return;
  if (check === undefined || !agreement.keyChecks.known.includes(check)) {
    throw new StoreMismatch(
      "MESSENGER_SECRET is not the secret that this database was written with; to change it, give the one before as MESSENGER_SECRET_PREVIOUS",
    );
  }
  await db.updateTable("meta").set({ value: agreement.keyChecks.current }).where("key", "=", "key_check").execute();
}
