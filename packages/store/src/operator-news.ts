import { sql } from "kysely";
import type { Db } from "./database.ts";
import { addNotification, type MadeNotification, type NewNotification } from "./notifications.ts";

/** Something that the operator is to be told of an endpoint. */
export interface OperatorNews {
  kind: string;
  endpoint: number;
  reason: string | null;
}

/** What is told at once: the first of it, and how much there is of each kind. */
export interface OperatorDigest {
  first: readonly OperatorNews[];
  counts: readonly { kind: string; count: number }[];
}

const FIRST = 20;
/** Told of at once, at most; what comes after that is told of an hour later. */
const MOST_TOLD = 100_000;
/** What could not be told for so long is forgotten. */
const KEPT = sql`interval '7 days'`;
const LOCK = 1_129_530_727;
/** After it was told of something, the operator is told of nothing for so long. */
const TOLD_EVERY = sql`interval '1 hour'`;

export async function noteForOperator(
  tx: Db,
  { kind, endpoint }: Omit<OperatorNews, "reason">,
  reason: string | null,
): Promise<void> {
  await sql`insert into operator_news (kind, endpoint_id, reason) values (${kind}, ${endpoint}, ${reason})`.execute(tx);
}

/** Nothing is sent to the operator's address now: what there is to tell waits. */
class NotTold extends Error {
  override readonly name = "NotTold";
}

/**
 * Tells the operator what there is to tell, once an hour at most: `make` makes a notification of it. Null where there is
 * nothing to tell, or not yet. One process at a time.
 * @throws {NotTold} where the address is suppressed.
 */
export async function tellOperator(db: Db, make: (digest: OperatorDigest) => NewNotification): Promise<MadeNotification | null> {
  return db.transaction().execute(async (tx) => {
    const { rows: locked } = await sql<{ mine: boolean }>`select pg_try_advisory_xact_lock(${LOCK}) as mine`.execute(tx);
    if (locked[0]?.mine !== true) return null;
    const { rows: lately } = await sql`
      select from notifications where purpose = 'operator' and created_at > now() - ${TOLD_EVERY} limit 1
    `.execute(tx);
    if (lately.length > 0) return null;
    const { rows: gone } = await sql<OperatorNews & { id: number }>`
      delete from operator_news where id in (select id from operator_news order by id limit ${MOST_TOLD})
      returning id, kind, endpoint_id as endpoint, reason
    `.execute(tx);
    if (gone.length === 0) return null;
    const inOrder = [...gone].sort((one, other) => one.id - other.id);
    const byKind = Map.groupBy(inOrder, ({ kind }) => kind);
    const counts = [...byKind].map(([kind, { length: count }]) => ({ kind, count }));
    const made = await addNotification(tx, make({ first: inOrder.slice(0, FIRST), counts }));
    if (made.status === "suppressed") throw new NotTold(made.reason);
    return made;
  });
}

/** Forgets what was told to nobody for long. */
export async function pruneOperatorNews(db: Db): Promise<void> {
  await sql`delete from operator_news where at < now() - ${KEPT}`.execute(db);
}
