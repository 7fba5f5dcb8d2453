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
/** Of what has happened at most so much is kept, should nothing deliver it. */
const MOST_KEPT = 100_000;
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

/**
 * Tells the operator what there is to tell, once an hour at most: `make` makes a notification of it. Null where there is
 * nothing to tell, or not yet. One process at a time.
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
      delete from operator_news where id in (select id from operator_news order by id limit ${MOST_KEPT})
      returning id, kind, endpoint_id as endpoint, reason
    `.execute(tx);
    if (gone.length === 0) return null;
    const inOrder = [...gone].sort((one, other) => one.id - other.id);
    const byKind = Map.groupBy(inOrder, ({ kind }) => kind);
    const counts = [...byKind].map(([kind, { length: count }]) => ({ kind, count }));
    return addNotification(tx, make({ first: inOrder.slice(0, FIRST), counts }));
  });
}
