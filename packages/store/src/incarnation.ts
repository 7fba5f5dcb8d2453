import { sql } from "kysely";

/**
 * What the log's incarnation adds to a version or a generation that leaves the database: so all that a
 * process knew before, events on their way through the broker included, counts as of another version and
 * another generation once the incarnation was raised, without a write to any row. See `incarnationOf` in
 * core, and docs/architecture.md, "A database that comes back older".
 */
export const incarnation = sql`(coalesce((select value::bigint from meta where key = 'incarnation'), 0) << 32)`;
