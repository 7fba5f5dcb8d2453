import { sql } from "kysely";
import { logEvent } from "./append-events.ts";
import { noteForOperator } from "./operator-news.ts";
import type { Db } from "./database.ts";
import type { EndpointsChanged } from "./endpoints.ts";
import { GONE, rememberGone } from "./gone-addresses.ts";

/** What the owner of an endpoint is told of it. */
export type EndpointNews =
  /** It is disabled then, if it takes nothing until then. */
  | { kind: "endpoint.failing"; endpoint: number; failingSince: Date }
  | { kind: "endpoint.disabled"; endpoint: number; reason: string | null }
  /** It has rejected the event `seq` for good. */
  | { kind: "dead_letter.created"; endpoint: number; seq: number; eventId: string | null; reason: string };

/** Warned of so long after an endpoint began to fail: a day before it is disabled. */
const WARNED_AFTER_DAYS = 4;
/** Of events about endpoints no news is made: else a dead letter would make another one, and so on. */
const OF_ENDPOINTS = sql`(v.kind like 'endpoint.%' or v.kind like 'dead_letter.%')`;

interface Found {
  kind: EndpointNews["kind"];
  endpoint: number;
  inbox: number;
  seq: number | null;
}

interface Read {
  failingSince: Date | null;
  reason: string | null;
  eventId: string | null;
  address: string;
  isOwned: boolean;
  isOfEndpoints: boolean;
}

/** Marks one as told; returns what there is to tell, or undefined where somebody else has. The inbox is locked. */
async function take(tx: Db, { kind, endpoint, seq }: Found): Promise<Read | undefined> {
  const owner = sql`exists (select from inboxes b where b.id = e.inbox_id and b.user_id is not null) as "isOwned"`;
  const none = sql`null::text as "eventId", false as "isOfEndpoints", e.address`;
  switch (kind) {
    case "endpoint.failing": {
      const { rows } = await sql<Read>`
        update endpoints e set warned_for = failing_since
        where id = ${endpoint} and state = 'active' and warned_for is distinct from failing_since
          and failing_since < now() - ${WARNED_AFTER_DAYS} * interval '1 day'
        returning failing_since as "failingSince", null as reason, ${owner}, ${none}
      `.execute(tx);
      return rows[0];
    }
    case "endpoint.disabled": {
      const { rows } = await sql<Read>`
        update endpoints e set is_told = true where id = ${endpoint} and not is_told
        returning null::timestamptz as "failingSince", reason, ${owner}, ${none}
      `.execute(tx);
      return rows[0];
    }
    case "dead_letter.created": {
      const { rows } = await sql<Read>`
        update dead_letters d set is_told = true
        from endpoints e left join events v on v.inbox_id = e.inbox_id and v.seq = ${seq}
        where d.endpoint_id = ${endpoint} and d.seq = ${seq} and not d.is_told and e.id = d.endpoint_id
        returning null::timestamptz as "failingSince", d.reason, ${owner}, v.id as "eventId", coalesce(${OF_ENDPOINTS}, false) as "isOfEndpoints", e.address
      `.execute(tx);
      return rows[0];
    }
  }
}

function newsOf({ kind, endpoint, seq }: Found, { failingSince, reason, eventId }: Read): EndpointNews {
  switch (kind) {
    case "endpoint.failing":
      return { kind, endpoint, failingSince: failingSince as Date };
    case "endpoint.disabled":
      return { kind, endpoint, reason };
    case "dead_letter.created":
      return { kind, endpoint, seq: seq as number, eventId, reason: reason ?? "" };
  }
}

/**
 * Tells owners what became of their endpoints, by an event in their inbox; `limit` at most. `describe` gives the
 * event's id, and what it says, sealed under that. The operator is told later, of several at once. Returns what covers their wakes, and whether there may be more.
 * Locks each inbox, then its endpoint or dead letter.
 */
export async function tellOwners(
  db: Db,
  limit: number,
  describe: (news: EndpointNews) => { eventId: string; data: Uint8Array },
  tellsOperator: boolean,
): Promise<{ told: readonly EndpointsChanged[]; hasMore: boolean }> {
  const { rows } = await sql<Found>`
    (select 'endpoint.disabled' as kind, id as endpoint, inbox_id as inbox, null::bigint as seq from endpoints where not is_told limit ${limit})
    union all
    (select 'endpoint.failing', id, inbox_id, null from endpoints
      where failing_since < now() - ${WARNED_AFTER_DAYS} * interval '1 day' and failing_since is not null and state = 'active'
        and warned_for is distinct from failing_since limit ${limit})
    union all
    (select 'dead_letter.created', d.endpoint_id, e.inbox_id, d.seq from dead_letters d join endpoints e on e.id = d.endpoint_id
      where not d.is_told order by d.endpoint_id, d.seq limit ${limit})
    limit ${limit}
  `.execute(db);
  const told: EndpointsChanged[] = [];
  for (const found of rows) {
    const covered = await db.transaction().execute(async (tx) => {
      const { inbox } = found;
      await sql`select from inboxes where id = ${inbox} for no key update`.execute(tx);
      const read = await take(tx, found);
      if (read === undefined || !read.isOwned) return null;
      if (read.reason === GONE && found.kind === "endpoint.disabled") await rememberGone(tx, inbox, read.address);
      if (read.isOfEndpoints) return null;
      if (tellsOperator) await noteForOperator(tx, found, read.reason);
      return logEvent(tx, inbox, { kind: found.kind, ...describe(newsOf(found, read)) });
    });
    if (covered !== null) told.push(covered);
  }
  return { told, hasMore: rows.length === limit };
}
