import { sql } from "kysely";
import type { Db } from "./database.ts";

/** What waits in the database. Counts end at 100,000, so that asking costs little, however much has piled up. */
export interface Backlog {
  outboxRows: number;
  /** How old the oldest row is; 0 where there is none. */
  outboxAgeSeconds: number;
  /** Endpoints with a due time: a retry that is planned, or a lease. */
  endpointsWaiting: number;
  /** For how long the first of them has been due; 0 where none is. Somebody must look at them every second. */
  overdueSeconds: number;
  endpointsOff: number;
  deadLetters: number;
}

const COUNTED = 100_000;

/** Reads what waits: by indexes, and by counting up to 100,000 rows. Locks nothing. */
export async function readBacklog(db: Db): Promise<Backlog> {
  const { rows } = await sql<Backlog>`
    select
      (select count(*) from (select from outbox limit ${COUNTED}) o) as "outboxRows",
      coalesce((select extract(epoch from now() - created_at) from outbox order by id limit 1), 0)::float8 as "outboxAgeSeconds",
      (select count(*) from (select from endpoints where retry_at is not null and state = 'active' limit ${COUNTED}) e) as "endpointsWaiting",
      greatest(
        (select extract(epoch from now() - retry_at) from endpoints where retry_at is not null and state = 'active' order by retry_at limit 1), 0
      )::float8 as "overdueSeconds",
      (select count(*) from (select from endpoints where state = 'off' limit ${COUNTED}) e) as "endpointsOff",
      (select count(*) from (select from dead_letters limit ${COUNTED}) d) as "deadLetters"
  `.execute(db);
  return rows[0] as Backlog;
}
