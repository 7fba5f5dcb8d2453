import { sql } from "kysely";
import type { Db } from "./database.ts";
import { deleteSome } from "./delete-some.ts";
import { announceChange, type EndpointsChanged, KEEP_LEASE, lockInbox, UNVERIFIED, switchOff } from "./endpoints.ts";

/** Why an endpoint is disabled that its owner wants to be. */
export const OFF_BY_OWNER = "its owner has disabled it";

/** How an endpoint stands, as its owner sees it: `unverified` until the address has shown that it wants pushes. */
type EndpointState = "active" | "disabled" | "unverified";

/** An endpoint of a user. */
export interface OwnedEndpoint {
  id: number;
  inbox: number;
  address: string;
  kinds: readonly string[];
  isThin: boolean;
  timeoutS: number;
  maxPerSecond: number | null;
  maxInFlight: number;
  /** Sealed. */
  headers: Uint8Array | null;
  /** Sealed. */
  signingKey: Uint8Array | null;
  keptBy: "sessions" | "owner";
  state: EndpointState;
  /** Why it is disabled, or not verified; null otherwise. */
  reason: string | null;
  /** The last event that it has taken, or passed over. */
  cursor: number;
  /** The last event of the inbox. */
  head: number;
  failures: number;
  failingSince: Date | null;
  /** When the next attempt is due; null where none is planned. */
  retryAt: Date | null;
  deadLetters: number;
  createdAt: Date;
}

const COUNTED_DEAD_LETTERS = 1_000;

const COLUMNS = sql`
  e.id, e.inbox_id as inbox, e.address, e.kinds, e.is_thin as "isThin", e.timeout_s as "timeoutS", e.max_per_second as "maxPerSecond", e.max_in_flight as "maxInFlight",
  e.headers, e.signing_key as "signingKey", e.kept_by as "keptBy", e.reason, e.cursor, b.head, e.failures,
  case when e.state = 'active' then 'active' when e.verified_at is null and (e.kept_by = 'owner' or e.reason like ${`${UNVERIFIED}%`}) then 'unverified' else 'disabled' end as state,
  e.failing_since as "failingSince",
  case when e.state = 'active' and e.failures > 0 and e.lease_by is null then e.retry_at end as "retryAt",
  (select count(*)::integer from (select from dead_letters d where d.endpoint_id = e.id limit ${COUNTED_DEAD_LETTERS}) few) as "deadLetters",
  e.created_at as "createdAt"
`;

/** All endpoints of a user, by their ids. Locks nothing. */
export async function listEndpoints(db: Db, userId: number): Promise<readonly OwnedEndpoint[]> {
  const { rows } = await sql<OwnedEndpoint>`
    select ${COLUMNS} from endpoints e join inboxes b on b.id = e.inbox_id where b.user_id = ${userId} order by e.id
  `.execute(db);
  return rows;
}

/** Null where it is none of this user. Locks nothing. */
export async function findEndpoint(db: Db, userId: number, id: number): Promise<OwnedEndpoint | null> {
  const { rows } = await sql<OwnedEndpoint>`
    select ${COLUMNS} from endpoints e join inboxes b on b.id = e.inbox_id where b.user_id = ${userId} and e.id = ${id}
  `.execute(db);
  return rows[0] ?? null;
}

/** What an owner sets of an endpoint. */
interface EndpointSettings {
  kinds: readonly string[];
  isThin: boolean;
  timeoutS: number;
  maxPerSecond: number | null;
  maxInFlight: number;
}

export interface NewOwnedEndpoint extends EndpointSettings {
  userId: number;
  address: string;
  /** Each seals what belongs to the endpoint; gets the inbox, which it is sealed for. Null for none. */
  sealSecret: (inbox: number) => Uint8Array;
  sealHeaders: ((inbox: number, address: string) => Uint8Array) | null;
  sealSigningKey: ((inbox: number, address: string) => Uint8Array) | null;
  /** The event after which it begins: the last one of the inbox if not given. */
  after: number | undefined;
  /** It is not enabled once its address is verified. */
  beginsOff: boolean;
  /** So many endpoints an account may have that its owner made. */
  most: number;
}

export type MadeEndpoint =
  | { status: "made"; id: number; inbox: number }
  | { status: "no-account" }
  /** The account has an endpoint of this address, or as many as it may have; `after` is beyond the log. */
  | { status: "taken" }
  | { status: "full" }
  | { status: "beyond" };

/** Makes an endpoint, off until its address is verified. Locks the inbox, then its endpoints. */
export async function createEndpoint(db: Db, endpoint: NewOwnedEndpoint): Promise<MadeEndpoint> {
  return db.transaction().execute(async (tx): Promise<MadeEndpoint> => {
    const inbox = await lockInbox(tx, endpoint.userId);
    if (inbox === null) return { status: "no-account" };
    const { rows: known } = await sql<{ head: number; own: number }>`
      select head, (select count(*)::integer from endpoints where inbox_id = ${inbox.id} and kept_by = 'owner') as own
      from inboxes where id = ${inbox.id}
    `.execute(tx);
    const { head, own } = known[0] as { head: number; own: number };
    if (own >= endpoint.most) return { status: "full" };
    const cursor = endpoint.after ?? head;
    if (cursor > head) return { status: "beyond" };
    const { rows } = await sql<{ id: number }>`
      insert into endpoints (inbox_id, address, kinds, secret, headers, signing_key, is_thin, timeout_s, max_per_second, max_in_flight, cursor,
        attached_at, kept_by, begins_off, state, reason)
      values (${inbox.id}, ${endpoint.address}, ${endpoint.kinds}::text[], ${endpoint.sealSecret(inbox.id)},
        ${endpoint.sealHeaders?.(inbox.id, endpoint.address) ?? null}::bytea, ${endpoint.sealSigningKey?.(inbox.id, endpoint.address) ?? null}::bytea,
        ${endpoint.isThin}, ${endpoint.timeoutS}, ${endpoint.maxPerSecond}, ${endpoint.maxInFlight}, ${cursor}, ${cursor}, 'owner', ${endpoint.beginsOff}, 'off', ${UNVERIFIED})
      on conflict (inbox_id, address) do nothing returning id
    `.execute(tx);
    return rows[0] === undefined ? { status: "taken" } : { status: "made", id: rows[0].id, inbox: inbox.id };
  });
}

/**
 * Runs a change of one endpoint of a user, under the inbox's lock and that of its endpoints, and tells the
 * senders of it. Null where there is none, or `run` returns null.
 */
async function changeOne<Result>(
  db: Db,
  userId: number,
  id: number,
  run: (tx: Db, inbox: number) => Promise<Result | null>,
): Promise<{ result: Result; changed: EndpointsChanged } | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    if (inbox === null) return null;
    const { rows } = await sql`select from endpoints where id = ${id} and inbox_id = ${inbox.id}`.execute(tx);
    if (rows.length === 0) return null;
    const result = await run(tx, inbox.id);
    return result === null ? null : { result, changed: await announceChange(tx, inbox.id) };
  });
}

/** Null where the endpoint is none of this user. */
export type Changed = EndpointsChanged | null;

/** What of an endpoint is sealed for its address. */
export interface SealedForAddress {
  secret: Uint8Array;
  previousSecret: Uint8Array | null;
  headers: Uint8Array | null;
  signingKey: Uint8Array | null;
}

export interface EndpointChange extends Partial<EndpointSettings> {
  /** Another address, which is to be verified anew; seals what belongs to the endpoint for it. */
  move?: { address: string; reseal: (inbox: number, from: string, sealed: SealedForAddress) => SealedForAddress } | undefined;
  /** Null for none; left alone if not given. They get the address that the endpoint has then. */
  sealHeaders?: ((inbox: number, address: string) => Uint8Array) | null;
  sealSigningKey?: ((inbox: number, address: string) => Uint8Array) | null;
}

/**
 * Gives an endpoint that its owner made another address: nothing is pushed until that is verified. Returns whether the account
 * has no other endpoint there.
 */
async function moveEndpoint(
  tx: Db,
  { inbox, id }: { inbox: number; id: number },
  { address, reseal }: NonNullable<EndpointChange["move"]>,
): Promise<boolean> {
  const { rows: taken } = await sql`select from endpoints where inbox_id = ${inbox} and address = ${address}`.execute(tx);
  if (taken.length > 0) return false;
  const { rows } = await sql<SealedForAddress & { address: string }>`
    select address, secret, previous_secret as "previousSecret", headers, signing_key as "signingKey" from endpoints where id = ${id}
  `.execute(tx);
  const { address: from, ...before } = rows[0] as SealedForAddress & { address: string };
  const { secret, previousSecret, headers, signingKey } = reseal(inbox, from, before);
  await sql`
    update endpoints e set address = ${address}, secret = ${secret}, previous_secret = ${previousSecret}::bytea,
      headers = ${headers}::bytea, signing_key = ${signingKey}::bytea,
      begins_off = case when verified_at is null then begins_off else state = 'off' and reason = ${OFF_BY_OWNER} end,
      state = 'off', reason = ${UNVERIFIED}, verified_at = null,
      failures = 0, server_errors = 0, rejections = 0, failing_since = null
    where id = ${id}
  `.execute(tx);
  return true;
}

/** Changes settings; what is not given stays as it is. Locks the inbox, then its endpoints. */
export async function changeEndpoint(
  db: Db,
  userId: number,
  id: number,
  change: EndpointChange,
): Promise<EndpointsChanged | "taken" | null> {
  const { kinds, isThin, timeoutS, maxPerSecond, maxInFlight, sealHeaders, sealSigningKey } = change;
  const changed = await changeOne(db, userId, id, async (tx, inbox) => {
    if (change.move !== undefined && !(await moveEndpoint(tx, { inbox, id }, change.move))) return "taken";
    const { rows: known } = await sql<{ address: string }>`select address from endpoints where id = ${id}`.execute(tx);
    const { address } = known[0] as { address: string };
    await sql`
      update endpoints e set
        kinds = coalesce(${kinds ?? null}::text[], kinds),
        is_thin = coalesce(${isThin ?? null}::boolean, is_thin),
        timeout_s = coalesce(${timeoutS ?? null}::smallint, timeout_s),
        max_per_second = case when ${maxPerSecond !== undefined}::boolean then ${maxPerSecond ?? null}::integer else max_per_second end,
        max_in_flight = coalesce(${maxInFlight ?? null}::smallint, max_in_flight),
        headers = case when ${sealHeaders !== undefined}::boolean then ${sealHeaders?.(inbox, address) ?? null}::bytea else headers end,
        signing_key = case when ${sealSigningKey !== undefined}::boolean then ${sealSigningKey?.(inbox, address) ?? null}::bytea else signing_key end,
        ${KEEP_LEASE}, generation = generation + 1
      where id = ${id}
    `.execute(tx);
    return "changed";
  });
  if (changed?.result === "taken") return "taken";
  return changed?.changed ?? null;
}

/**
 * Pushes nothing more until it is enabled again; what happens meanwhile waits in the log. One that is not verified
 * yet begins disabled.
 */
export async function disableEndpoint(db: Db, userId: number, id: number, reason: string): Promise<Changed> {
  const changed = await changeOne(db, userId, id, async (tx) => {
    await sql`update endpoints set begins_off = true where id = ${id} and verified_at is null and kept_by = 'owner'`.execute(tx);
    await sql`
      update endpoints e set ${switchOff(reason)}
      where id = ${id} and (state = 'active' or verified_at is not null or kept_by = 'sessions')
    `.execute(tx);
    return true;
  });
  return changed?.changed ?? null;
}

/**
 * Goes on from where the endpoint is, as one that has not failed. One that a session keeps is its owner's from
 * then on: it does not end with the session, and counts among the `most` that an owner may have. `unverified` where
 * its address has not been verified.
 */
export async function enableEndpoint(
  db: Db,
  userId: number,
  id: number,
  most: number,
): Promise<EndpointsChanged | "unverified" | "full" | null> {
  const changed = await changeOne(db, userId, id, async (tx, inbox) => {
    const { rows: known } = await sql<{ isFull: boolean }>`
      select kept_by = 'sessions'
        and (select count(*) from endpoints own where own.inbox_id = ${inbox} and own.kept_by = 'owner') >= ${most} as "isFull"
      from endpoints where id = ${id}
    `.execute(tx);
    if (known[0]?.isFull === true) return "full";
    const { rows } = await sql<{ state: string }>`
      update endpoints e set state = 'active', reason = null, failures = 0, server_errors = 0, rejections = 0, failing_since = null,
        kept_by = 'owner', verified_at = coalesce(verified_at, case when kept_by = 'sessions' then now() end),
        ${KEEP_LEASE}, generation = generation + 1
      where id = ${id} and (verified_at is not null or (kept_by = 'sessions' and coalesce(reason, '') not like ${`${UNVERIFIED}%`}))
      returning state
    `.execute(tx);
    return rows.length > 0 ? "enabled" : "unverified";
  });
  if (changed === null) return null;
  return changed.result === "enabled" ? changed.changed : changed.result;
}

/**
 * Deletes an endpoint, with its dead letters, and then its attempts. One that is attached to the
 * inbox later begins no earlier than it had come. Locks the inbox, then its endpoints.
 */
export async function deleteEndpoint(db: Db, userId: number, id: number): Promise<Changed> {
  const changed = await changeOne(db, userId, id, async (tx, inbox) => {
    await sql`update sessions set endpoint_id = null where endpoint_id = ${id}`.execute(tx);
    await sql`
      with gone as (delete from endpoints where id = ${id} returning cursor)
      update inboxes set floor = greatest(floor, (select cursor from gone)) where id = ${inbox}
    `.execute(tx);
    return true;
  });
  if (changed === null) return null;
  await deleteSome(db, "dead_letters", sql`endpoint_id = ${id}`);
  await deleteSome(db, "attempts", sql`endpoint_id = ${id}`);
  return changed.changed;
}

/** Gives an endpoint another secret; the one before is valid for so many seconds more. */
export async function rotateSecret(
  db: Db,
  userId: number,
  id: number,
  { sealSecret, previousValidS }: { sealSecret: (inbox: number, address: string) => Uint8Array; previousValidS: number },
): Promise<{ changed: EndpointsChanged; previousUntil: Date } | null> {
  const changed = await changeOne(db, userId, id, async (tx, inbox) => {
    const { rows: known } = await sql<{ address: string }>`select address from endpoints where id = ${id}`.execute(tx);
    const secret = sealSecret(inbox, (known[0] as { address: string }).address);
    const { rows } = await sql<{ until: Date }>`
      update endpoints e set previous_secret = secret, previous_secret_until = now() + ${previousValidS} * interval '1 second',
        secret = ${secret}, ${KEEP_LEASE}, generation = generation + 1
      where id = ${id} returning previous_secret_until as until
    `.execute(tx);
    return (rows[0] as { until: Date }).until;
  });
  return changed && { changed: changed.changed, previousUntil: changed.result };
}

/** From where to push again: after a `seq`, or since a moment. */
export type ReplayFrom = { after: number } | { since: Date };

interface Replay {
  /** The event after which it begins. */
  after: number;
  /**
   * Events of the endpoint's kinds that are pushed again. Of more than `MOST_COUNTED` events that there are to look
   * at, only so many are.
   */
  events: number;
}

const MOST_COUNTED = 100_000;

/**
 * Sets an endpoint's cursor back, if it is not there already, and pushes from there on; or only counts what that
 * would push. Locks the inbox, then its endpoints, once it is counted.
 */
export async function replay(
  db: Db,
  userId: number,
  id: number,
  from: ReplayFrom,
  dryRun: boolean,
): Promise<{ replay: Replay; changed: EndpointsChanged | null } | null> {
  // From the cursor down: only what would be pushed again is looked at.
  const after =
    "after" in from
      ? sql`${from.after}::bigint`
      : sql`coalesce((
          select seq from events v where v.inbox_id = e.inbox_id and v.created_at < ${from.since} and v.seq <= e.cursor
          order by seq desc limit 1
        ), 0)`;
  const { rows } = await sql<Replay>`
    with start as materialized (
      select e.inbox_id, e.cursor, e.kinds, least(e.cursor, ${after}) as after
      from endpoints e join inboxes b on b.id = e.inbox_id where e.id = ${id} and b.user_id = ${userId}
    )
    select after, (
      select count(*) filter (where few.kind = any(start.kinds) or '*' = any(start.kinds))::integer from (
        select kind from events v where v.inbox_id = start.inbox_id and v.seq > start.after and v.seq <= start.cursor
        order by v.seq limit ${MOST_COUNTED}
      ) few
    ) as events
    from start
  `.execute(db);
  const [counted] = rows;
  if (counted === undefined) return null;
  if (dryRun) return { replay: counted, changed: null };
  const changed = await changeOne(db, userId, id, async (tx) => {
    const { rows: at } = await sql<{ now: Date }>`
      update endpoints e set cursor = ${counted.after}, attached_at = least(attached_at, ${counted.after}), ${KEEP_LEASE},
        server_errors = 0, rejections = 0, generation = generation + 1
      where id = ${id} and cursor > ${counted.after}
      returning clock_timestamp() as now
    `.execute(tx);
    return { at: at[0]?.now };
  });
  if (changed === null) return null;
  // They are pushed from the log again. (Those that are dead letters anew since stay.)
  const { at } = changed.result;
  if (at !== undefined) await deleteSome(db, "dead_letters", sql`endpoint_id = ${id} and seq > ${counted.after} and at < ${at}`);
  return { replay: counted, changed: changed.changed };
}
