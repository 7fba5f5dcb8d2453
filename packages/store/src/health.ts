import { sql } from "kysely";
import type { Db } from "./database.ts";
import { appliedSteps, newestSteps } from "./schema.ts";

/** What a database says of itself. */
export interface DatabaseHealth {
  version: string;
  /** Steps of the schema that it lacks, and that this version does not know. */
  missing: readonly string[];
  unknown: readonly string[];
  /** Indexes that were not made to their end, and are not used. */
  invalidIndexes: readonly string[];
  /** Milliseconds since the epoch, by its clock. */
  now: number;
  /** What this deployment was set up with; undefined before its first process. */
  partitions: number | undefined;
  keyCheck: string | undefined;
  /** Rows of the outbox that nobody has published for half a minute. */
  stuckOutbox: number;
  /** Endpoints that are due since a minute, and that nobody has taken. */
  stuckEndpoints: number;
}

/** Reads how a database is. Locks nothing. */
export async function readHealth(db: Db): Promise<DatabaseHealth> {
  const applied = await appliedSteps(db);
  const known = newestSteps();
  const { rows } = await sql<{ version: string; now: number; invalid: string[] }>`
    select current_setting('server_version') as version, (extract(epoch from clock_timestamp()) * 1000)::float8 as now,
      array(select c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid where not i.indisvalid) as invalid
  `.execute(db);
  const { version, now, invalid } = rows[0] as { version: string; now: number; invalid: string[] };
  const missing = known.filter((name) => !applied.has(name));
  const unknown = [...applied].filter((name) => !known.includes(name));
  const base = { version, missing, unknown, invalidIndexes: invalid, now };
  if (missing.length > 0) return { ...base, partitions: undefined, keyCheck: undefined, stuckOutbox: 0, stuckEndpoints: 0 };
  const meta = await db.selectFrom("meta").selectAll().execute();
  const value = (key: string): string | undefined => meta.find((row) => row.key === key)?.value;
  const { rows: stuck } = await sql<{ outbox: number; endpoints: number }>`
    select (select count(*)::integer from (select from outbox where created_at < now() - interval '30 seconds' limit 1000) o) as outbox,
      (select count(*)::integer from (
        select from endpoints where state = 'active' and retry_at < now() - interval '1 minute' limit 1000
      ) e) as endpoints
  `.execute(db);
  const { outbox, endpoints } = stuck[0] as { outbox: number; endpoints: number };
  const partitions = value("partitions");
  return {
    ...base,
    partitions: partitions === undefined ? undefined : Number(partitions),
    keyCheck: value("key_check"),
    stuckOutbox: outbox,
    stuckEndpoints: endpoints,
  };
}
