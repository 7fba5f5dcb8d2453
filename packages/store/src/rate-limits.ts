import { sql } from "kysely";
import type { Db } from "./database.ts";

/** Requests that are counted together within a window of time. */
export interface CountedRequests {
  key: string;
  windowMs: number;
  /** That may be made in a window. */
  most: number;
}

/** Some of what is left of a limit, which one process may let through without asking again. */
export interface Drawn {
  /** 0 where nothing is left. */
  granted: number;
  /** That all processes have drawn in this window. */
  used: number;
  /** Until the window ends, by the database's clock: at least 1. */
  msLeft: number;
}

/** Draws up to `block` requests from a limit. Windows are the same for all processes. Locks the key's row. */
export async function drawRequests(db: Db, { key, windowMs, most }: CountedRequests, block: number): Promise<Drawn> {
  const asked = Math.min(block, most);
  const { rows } = await sql<{ used: number | null; msLeft: number }>`
    with clock as (select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms),
    drawn as (
      insert into rate_limits as r (key, window_number, used) select ${key}, ms / ${windowMs}, ${asked}::integer from clock
      on conflict (key) do update set window_number = excluded.window_number, drawn_at = now(),
        used = case when r.window_number = excluded.window_number then r.used + excluded.used else excluded.used end
      where r.window_number < excluded.window_number or (r.window_number = excluded.window_number and r.used < ${most})
      returning used
    )
    select (select used from drawn) as used, (${windowMs} - ms % ${windowMs})::integer as "msLeft" from clock
  `.execute(db);
  const { used, msLeft } = rows[0] as { used: number | null; msLeft: number };
  if (used === null) return { granted: 0, used: most, msLeft };
  return { granted: Math.min(asked, most - (used - asked)), used: Math.min(used, most), msLeft };
}

/** The plan of a user: what their limits are. `standard` where there is no such user. Locks nothing. */
export async function findPlan(db: Db, userId: number): Promise<string> {
  const { rows } = await sql<{ plan: string }>`select plan from users where id = ${userId}`.execute(db);
  return rows[0]?.plan ?? "standard";
}

/** Forgets windows that are over: none is longer than this. */
export async function pruneRateLimits(db: Db): Promise<void> {
  await sql`delete from rate_limits where drawn_at < now() - interval '1 hour'`.execute(db);
}
