import { sleep, systemClock } from "@messenger/core";
import { sql } from "kysely";
import type { Db } from "./database.ts";
import { rememberIdentity } from "./fail-over.ts";
import { BREAKING, type SchemaStep, steps } from "./migrations/index.ts";

/** A database that this program must not run on; the message says why and what to do. */
export class StoreMismatch extends Error {
  override readonly name = "StoreMismatch";
}

/** Where the names of the first steps are; versions that know no later ones look here. */
const FIRST_TABLE = "kysely_migration";
const FIRST_STEPS: ReadonlySet<string> = new Set(["0001-initial", "0002-endpoints-off"]);
/** A number for PostgreSQL's advisory locks: one process at a time changes the schema. */
const LOCK = 7_365_032;
const LOCK_RETRIES = 60;
const LOCK_PAUSE_MS = 250;
/** A lock was not had in time, or two waited for each other. */
const LOCKED = new Set<unknown>(["55P03", "40P01"]);

/** The names of all steps that this version knows, in their order. */
export const newestSteps = (): readonly string[] => Object.keys(steps);

export async function appliedSteps(db: Db): Promise<ReadonlySet<string>> {
  const applied = new Set<string>();
  for (const table of [FIRST_TABLE, "schema_steps"]) {
    const found = await sql<{ found: boolean }>`select to_regclass(${table}) is not null as found`.execute(db);
    if (found.rows[0]?.found !== true) continue;
    const { rows } = await sql<{ name: string }>`select name from ${sql.table(table)}`.execute(db);
    for (const { name } of rows) applied.add(name);
  }
  const breaking = [...applied].find((name) => !(name in steps) && name.endsWith(BREAKING));
  if (breaking !== undefined) {
    throw new StoreMismatch(`the database has migration ${breaking}, which this version does not know: run a newer version`);
  }
  return applied;
}

/**
 * Brings the schema up to this version; returns the names of the steps that it ran. Two at the same time wait
 * for each other. A step waits for a lock for as long as the store's `lockTimeoutMs`, and is then tried
 * again, so that statements that came after it are not held up.
 * @throws {StoreMismatch} when the database has a step that this version must not run beside.
 */
export function migrate(db: Db): Promise<readonly string[]> {
  return db.connection().execute(async (own) => {
    await takeLock(own);
    try {
      const applied = await appliedSteps(own);
      const ran: string[] = [];
      for (const [name, step] of Object.entries(steps)) {
        if (applied.has(name)) continue;
        await runStep(own, name, step);
        ran.push(name);
      }
      return ran;
    } finally {
      await sql`select pg_advisory_unlock(${LOCK})`.execute(own);
    }
  });
}

/**
 * Asks again and again: a statement that waits would keep a snapshot, and making an index concurrently waits
 * for the end of all snapshots.
 */
async function takeLock(db: Db): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ taken: boolean }>`select pg_try_advisory_lock(${LOCK}) as taken`.execute(db);
    if (rows[0]?.taken === true) return;
    await sleep(systemClock, LOCK_PAUSE_MS);
  }
}

async function runStep(db: Db, name: string, step: SchemaStep): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      if (step.withoutTransaction === true) {
        await step.up(db);
        await note(db, name);
      } else {
        await db.transaction().execute(async (tx) => {
          await step.up(tx);
          await note(tx, name);
        });
      }
      return;
    } catch (error) {
      const isLocked = LOCKED.has((error as { code?: unknown }).code);
      if (!isLocked || tries > LOCK_RETRIES) throw new Error(`the schema could not be migrated: ${name}`, { cause: error });
      await sleep(systemClock, LOCK_PAUSE_MS);
    }
  }
}

async function note(db: Db, name: string): Promise<void> {
  if (FIRST_STEPS.has(name)) {
    // As versions that know only these wrote it.
    await sql`create table if not exists ${sql.table(FIRST_TABLE)} (name varchar(255) primary key, timestamp varchar(255) not null)`.execute(
      db,
    );
    await sql`insert into ${sql.table(FIRST_TABLE)} (name, timestamp) values (${name}, now()::text)`.execute(db);
    return;
  }
  await sql`create table if not exists schema_steps (name text primary key, at timestamptz not null default now())`.execute(db);
  await sql`insert into schema_steps (name) values (${name})`.execute(db);
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
 * Checks that the schema is this version's, and that the settings are those of the processes that ran on this
 * database before; the first one lays them down. A changed secret is laid down by the first process that
 * knows the one before, too.
 * @throws {StoreMismatch}
 */
export async function agree(db: Db, agreement: Agreement): Promise<void> {
  const applied = await appliedSteps(db);
  const missing = Object.keys(steps).find((name) => !applied.has(name));
  if (missing !== undefined) {
    throw new StoreMismatch(`the database lacks migration ${missing}, which this version needs: run "messenger migrate" first`);
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

/** Whether the deployment's processes use the secret that a check of a keyring names. */
export async function isCurrentSecret(db: Db, check: string): Promise<boolean> {
  const { rows } = await sql`select from meta where key = 'key_check' and value = ${check}`.execute(db);
  return rows.length > 0;
}
