import { sql } from "kysely";
import type { Db } from "./database.ts";

/**
 * What became of a message for one of those it was for: `delivered` once an endpoint took it; `failed` where
 * one refused it for good, and none took it; `retrying` and `queued` where one has not taken it yet, and has
 * or has not failed; `held` where there is none.
 */
export type DeliveryState = "held" | "queued" | "retrying" | "failed" | "delivered";

export interface RecipientRow {
  userId: number;
  state: DeliveryState;
  /** Of `retrying`: when it is tried next; null while it is being tried. */
  retryAt: Date | null;
  /** Null where the user does not let others know. */
  read: boolean | null;
}

/** What became of a message for each of those it was for, by their ids. Locks nothing. */
export async function listDeliveries(db: Db, messageId: string): Promise<readonly RecipientRow[]> {
  const { rows } = await sql<RecipientRow>`
    select b.user_id as "userId", ways.state, case when ways.state = 'retrying' then ways.retry_at end as "retryAt",
      case when u.receipts then coalesce(p.request is null and (p.read_at, p.read_id) >= (m.created_at, m.id), false) end as read
    from events e join messages m on m.id = e.message_id
      join inboxes b on b.id = e.inbox_id join users u on u.id = b.user_id
      left join participants p on p.conversation_id = m.conversation_id and p.user_id = b.user_id
      cross join lateral (
        select case
            when e.kind = 'message.requested' then 'held'
            when bool_or(ep.cursor >= e.seq and ep.attached_at < e.seq and dead.seq is null) then 'delivered'
            when bool_or(ep.state = 'active' and ep.cursor = e.seq - 1 and ep.failures > 0) then 'retrying'
            when bool_or(ep.state = 'active' and ep.cursor < e.seq) then 'queued'
            when bool_or(dead.seq is not null) then 'failed'
            else 'held'
          end as state,
          min(ep.retry_at) filter (where ep.state = 'active' and ep.cursor = e.seq - 1 and ep.failures > 0 and ep.lease_by is null) as retry_at
        from endpoints ep left join dead_letters dead on dead.endpoint_id = ep.id and dead.seq = e.seq
        where ep.inbox_id = e.inbox_id
      ) as ways
    where e.message_id = ${messageId} and (e.kind = 'message.created' or (e.kind = 'message.requested' and not exists (
      select from events come where come.message_id = e.message_id and come.inbox_id = e.inbox_id and come.kind = 'message.created'
    )))
    order by b.user_id
  `.execute(db);
  return rows;
}
