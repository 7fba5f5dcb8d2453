import { type RawBuilder, sql } from "kysely";
import type { Db } from "./database.ts";
import { RELAY } from "./deliveries.ts";

export interface NewEndpoint {
  address: string;
  kinds: readonly string[];
  /** Seals the secret of a new endpoint; gets the inbox, which a sealed secret belongs to. */
  sealSecret(inbox: number): Uint8Array;
  /** Why the address must not be pushed to; null if it may. */
  refusal: string | null;
  /** Nothing is pushed to it before its address has answered a challenge, if it has not yet. */
  mustProve?: boolean;
  /** Replaces the secret in any case. */
  renewSecret?: boolean;
}

/** What the reason of an endpoint begins with whose address has not answered a challenge yet. */
export const UNVERIFIED = "its address is not verified";

/** What changed an inbox's endpoints: its senders are told by a wake, which the outbox row covers until then. */
export interface EndpointsChanged {
  inbox: number;
  outboxId: number;
}

/**
 * Locks the inbox, and then its endpoints, by id: all changes of them happen one after the other, none while
 * an append is under way, and in the order in which senders lock many endpoints.
 */
export async function lockInbox(tx: Db, userId: number): Promise<{ id: number; floor: number } | null> {
  const { rows } = await sql<{ id: number; floor: number }>`
    select id, floor from inboxes where user_id = ${userId} for no key update
  `.execute(tx);
  const inbox = rows[0];
  if (inbox === undefined) return null;
  await sql`select id from endpoints where inbox_id = ${inbox.id} order by id for no key update`.execute(tx);
  return inbox;
}

/** Raises the inbox's version, and covers the wake that tells its senders. The inbox is locked. */
export async function announceChange(tx: Db, inbox: number): Promise<EndpointsChanged> {
  await sql`update inboxes set version = version + 1 where id = ${inbox}`.execute(tx);
  const { rows } = await sql<{
    id: number;
  }>`insert into outbox (inbox_ids) values (array[${inbox}::bigint]) returning id`.execute(tx);
  return { inbox, outboxId: (rows[0] as { id: number }).id };
}

/**
 * Makes the endpoint, or revives one that is off: its cursor is then the highest of the inbox's floor and of
 * all its endpoints' cursors, so that it gets what none of them took. One that is active goes on from where
 * it is. One that has been failing is tried at once, and still counts as failing. One that is active keeps
 * its secret, so that no log-in breaks a receiver that has it; one that is revived gets another, as the
 * address may have been somebody else's.
 */
export async function attachEndpoint(
  tx: Db,
  inbox: { id: number; floor: number },
  endpoint: NewEndpoint,
): Promise<{ id: number; secret: Uint8Array; isUnverified: boolean }> {
  const mustProve = endpoint.refusal === null && endpoint.mustProve === true;
  const state = endpoint.refusal === null && !mustProve ? "active" : "off";
  const reason = mustProve ? UNVERIFIED : endpoint.refusal;
  const hasProved = sql`(${mustProve}::boolean and e.verified_at is not null)`;
  const keepsSecret = sql`(e.state = 'active' and ${endpoint.renewSecret !== true}::boolean)`;
  const { rows } = await sql<{ id: number; secret: Uint8Array; isUnverified: boolean }>`
    insert into endpoints as e (inbox_id, address, kinds, secret, cursor, attached_at, state, reason)
    select ${inbox.id}::bigint, ${endpoint.address}::text, ${endpoint.kinds}::text[], ${endpoint.sealSecret(inbox.id)}::bytea,
      start, start, ${state}::text, ${reason}::text
    from (select greatest(${inbox.floor}::bigint, max(cursor)) as start from endpoints where inbox_id = ${inbox.id}) as others
    on conflict (inbox_id, address) do update set
      attached_at = case when e.state = 'off' and excluded.cursor > e.cursor then excluded.cursor else e.attached_at end,
      cursor = case when e.state = 'off' then excluded.cursor else e.cursor end,
      secret = case when ${keepsSecret} then e.secret else excluded.secret end,
      previous_secret = case when ${keepsSecret} then e.previous_secret end,
      failures = least(e.failures, 1), server_errors = 0, rejections = 0, failing_since = null,
      ${KEEP_LEASE},
      state = case when ${hasProved} then 'active' else excluded.state end,
      reason = case when not ${hasProved} then excluded.reason end, generation = e.generation + 1
    returning id, secret, ${mustProve}::boolean and state = 'off' as "isUnverified"
  `.execute(tx);
  return rows[0] as { id: number; secret: Uint8Array; isUnverified: boolean };
}

/** Whether a sender has the lease of the endpoint `e`: a push of it may be in flight. */
export const IS_LEASED = sql`(e.lease_by <> ${RELAY} and e.retry_at > now())`;

/**
 * A change of an endpoint `e` clears its due time, but not a lease that a sender has, nor where dead letters are
 * to be pushed again: nothing else covers them.
 */
export const KEEP_LEASE = sql`
  retry_at = case when ${IS_LEASED} then e.retry_at when e.replaying then now() end,
  lease_by = case when ${IS_LEASED} then e.lease_by end`;

/** Nothing more is pushed to the endpoint `e`, for a reason. */
export const switchOff = (reason: string | RawBuilder<unknown>) =>
  sql`state = 'off', reason = ${reason}, ${KEEP_LEASE}, generation = generation + 1`;
