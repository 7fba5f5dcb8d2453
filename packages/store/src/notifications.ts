import { sql } from "kysely";
import { logEvent } from "./append-events.ts";
import type { Place } from "./conversations.ts";
import type { Db } from "./database.ts";
import { announceChange, type EndpointsChanged, KEEP_LEASE } from "./endpoints.ts";
import { scannedPage } from "./scanned-page.ts";

export interface NewNotification {
  /** A uuid v7: also that of its event. */
  id: string;
  /** Who sends it. */
  userId: number;
  type: string;
  /** `sent` by a user, or our own; what the operator is told is nobody's. */
  purpose: "sent" | "notice" | "code" | "reset" | "operator";
  /** Whose message a notice tells of. */
  aboutUserId?: number | undefined;
  /** As an endpoint has it: `mailto:ada@example.org`. */
  address: string;
  /** Whom it is for, sealed under its id. */
  recipient: Uint8Array;
  /** What it says, likewise. */
  data: Uint8Array;
  provider: string;
  /** When it is sent; null for at once. */
  sendAt: Date | null;
  /** Seals the secret that every endpoint has. */
  sealSecret: (inbox: number) => Uint8Array;
  /** SHA-256 of the user and the `Idempotency-Key`, and of what is asked for. */
  request: { key: Uint8Array; hash: Uint8Array } | null;
}

export type MadeNotification =
  | { status: "made"; createdAt: Date; changed: EndpointsChanged | null }
  /** Was made before, under this request key. */
  | { status: "repeat"; id: string; isSame: boolean }
  /** The address takes nothing: its provider said so lately. */
  | { status: "suppressed"; reason: string; until: Date };

/** For so long after its provider has said that an address is no more, or wants nothing, nothing is sent to it. */
const SUPPRESSED_DAYS = 7;

const ERASED_AT_ONCE = 100;
/** Each hour. */
const UNUSED_AT_ONCE = 1_000;

interface Box {
  inbox: number;
  head: number;
}

/** Locks the inbox of an address, and makes it where there is none. */
async function lockAddress(tx: Db, address: string): Promise<Box> {
  const find = () => sql<Box>`select id as inbox, head from inboxes where address = ${address} for no key update`.execute(tx);
  const found = await find();
  if (found.rows[0] !== undefined) return found.rows[0];
  await sql`insert into inboxes (address) values (${address}) on conflict do nothing`.execute(tx);
  return (await find()).rows[0] as Box;
}

/**
 * Locks the endpoint of an address. One that was switched off, and has been so for long enough, is active again: what it did not
 * take before has failed. Undefined where there is none.
 */
async function readyEndpoint(
  tx: Db,
  { inbox, head }: Box,
): Promise<{ id: number; suppressed: { reason: string; until: Date } | null } | undefined> {
  const { rows } = await sql<{ id: number; state: string; reason: string | null; until: Date | null; over: boolean }>`
    select id, state, reason, failing_since + ${SUPPRESSED_DAYS} * interval '1 day' as until,
      coalesce(failing_since, '-infinity') < now() - ${SUPPRESSED_DAYS} * interval '1 day' and address not like 'webpush:%' as over
    from endpoints where inbox_id = ${inbox} for no key update
  `.execute(tx);
  const [endpoint] = rows;
  if (endpoint === undefined) return undefined;
  const { id, state, reason, until, over } = endpoint;
  if (state !== "off") return { id, suppressed: null };
  if (!over) return { id, suppressed: { reason: reason ?? "it takes nothing", until: until as Date } };
  await sql`
    insert into dead_letters (endpoint_id, seq, reason)
    select e.id, n.seq, coalesce(e.reason, 'it took nothing') from endpoints e join notifications n on n.inbox_id = e.inbox_id and n.seq > e.cursor
    where e.id = ${id} on conflict do nothing
  `.execute(tx);
  await sql`
    update endpoints set state = 'active', reason = null, cursor = ${head}, failures = 0, server_errors = 0, rejections = 0,
      failing_since = null, generation = generation + 1
    where id = ${id}
  `.execute(tx);
  await sql`update inboxes set version = version + 1 where id = ${inbox}`.execute(tx);
  return { id, suppressed: null };
}

/** Appends a notification to its inbox, which is locked, and covers the wake for it. Returns the row that does. */
async function append(tx: Db, { id, inbox, data }: { id: string; inbox: number; data: Uint8Array }): Promise<EndpointsChanged> {
  await sql`update notifications set seq = (select head + 1 from inboxes where id = ${inbox}) where id = ${id}`.execute(tx);
  return logEvent(tx, inbox, { kind: "notification.created", eventId: id, data });
}

/** The notification that was made under a request key; null where there is none. */
export async function findRequest(
  db: Db,
  request: NewNotification["request"],
): Promise<{ status: "repeat"; id: string; isSame: boolean } | null> {
  if (request === null) return null;
  const { rows } = await sql<{ id: string; hash: Uint8Array }>`
    select id, request_hash as hash from notifications where request_key = ${request.key}
  `.execute(db);
  const [before] = rows;
  return before === undefined
    ? null
    : { status: "repeat", id: before.id, isSame: Buffer.compare(before.hash, request.hash) === 0 };
}

/**
 * Makes a notification: an event in the inbox of its address, with one endpoint, now or later. Locks the inbox,
 * then its endpoint.
 */
export async function createNotification(db: Db, made: NewNotification): Promise<MadeNotification> {
  return db.transaction().execute((tx) => addNotification(tx, made));
}

/** The same, as a part of a transaction. */
export async function addNotification(tx: Db, made: NewNotification): Promise<MadeNotification> {
  const { inbox, head } = await lockAddress(tx, made.address);
  const repeat = await findRequest(tx, made.request);
  if (repeat !== null) return repeat;
  const endpoint = await readyEndpoint(tx, { inbox, head });
  if (endpoint !== undefined && endpoint.suppressed !== null) return { status: "suppressed", ...endpoint.suppressed };
  if (endpoint === undefined) {
    await sql`
      insert into endpoints (inbox_id, address, kinds, secret, cursor, attached_at, kept_by, verified_at, timeout_s)
      values (${inbox}, ${made.address}, array['notification.created'], ${made.sealSecret(inbox)}, ${head}, ${head}, 'owner', now(), 30)
    `.execute(tx);
    await sql`update inboxes set version = version + 1 where id = ${inbox}`.execute(tx);
  }
  const { rows } = await sql<{ createdAt: Date; due: boolean }>`
    insert into notifications (id, user_id, about_user_id, type, purpose, recipient, data, provider, inbox_id, send_at, request_key, request_hash)
    values (${made.id}, ${made.userId}, ${made.aboutUserId ?? null}, ${made.type}, ${made.purpose}, ${made.recipient}, ${made.data}, ${made.provider}, ${inbox},
      ${made.sendAt}, ${made.request?.key ?? null}::bytea, ${made.request?.hash ?? null}::bytea)
    on conflict (request_key) where request_key is not null do nothing
    returning created_at as "createdAt", coalesce(send_at, '-infinity') <= now() as due
  `.execute(tx);
  // Made under this key meanwhile, for another address.
  if (rows[0] === undefined) return (await findRequest(tx, made.request)) as MadeNotification;
  const { createdAt, due } = rows[0];
  const changed = due ? await append(tx, { id: made.id, inbox, data: made.data }) : null;
  return { status: "made", createdAt, changed };
}

/**
 * Makes the endpoint of an address, or gives it another secret: it is active again, and has not failed. Locks its
 * inbox, then its endpoint.
 */
export async function renewAddress(
  db: Db,
  address: string,
  sealSecret: (inbox: number) => Uint8Array,
): Promise<EndpointsChanged> {
  return db.transaction().execute(async (tx) => {
    const { inbox, head } = await lockAddress(tx, address);
    await sql`
      insert into endpoints as e (inbox_id, address, kinds, secret, cursor, attached_at, kept_by, verified_at, timeout_s)
      values (${inbox}, ${address}, array['notification.created'], ${sealSecret(inbox)}, ${head}, ${head}, 'owner', now(), 30)
      on conflict (inbox_id, address) do update set secret = excluded.secret, state = 'active', reason = null,
        cursor = case when e.state = 'off' then excluded.cursor else e.cursor end,
        failures = 0, server_errors = 0, rejections = 0, failing_since = null, ${KEEP_LEASE}, generation = e.generation + 1
    `.execute(tx);
    return announceChange(tx, inbox);
  });
}

/**
 * Has notifications that wait for their provider still be passed over: nobody wants them any more. One that is being
 * sent may still arrive.
 */
export async function withdrawNotifications(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`
    with gone as (
      delete from notifications n using endpoints e where n.id = any(${ids}::uuid[]) and e.inbox_id = n.inbox_id and n.seq > e.cursor
      returning n.inbox_id, n.seq
    )
    update events v set data = null from gone where v.inbox_id = gone.inbox_id and v.seq = gone.seq
  `.execute(db);
}

/** Own notices and codes are kept for so long: they are no log of anybody's. */
const OWN_KEPT_DAYS = 2;

/** Forgets notices and codes of before, with what they said. */
export async function pruneOwnNotifications(db: Db): Promise<void> {
  for (;;) {
    const result = await sql`
      with old as materialized (
        select id from notifications where purpose <> 'sent' and created_at < now() - ${OWN_KEPT_DAYS} * interval '1 day'
        limit ${ERASED_AT_ONCE} for update skip locked
      ),
      gone as (delete from notifications n using old where n.id = old.id returning n.inbox_id, n.seq)
      update events v set data = null from gone where v.inbox_id = gone.inbox_id and v.seq = gone.seq
    `.execute(db);
    if (Number(result.numAffectedRows ?? 0) < ERASED_AT_ONCE) return;
  }
}

/** Nothing is kept of what was sent to the address of the inbox `b`, and nobody is told of messages there. */
const IS_UNUSED = sql`(
  not exists (select from notifications n where n.inbox_id = b.id) and not exists (select from contacts k where k.address = b.address)
)`;

/** Erases an address that nothing was sent to, and that nobody is told at: what it is, and its endpoint. */
export async function eraseUnusedAddress(db: Db, address: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: number }>`select id from inboxes where address = ${address} for update`.execute(tx);
    // Once it is locked: whoever sends something there locks it first.
    await sql`
      update inboxes b set address = 'erased:' || id where id = any(${rows.map(({ id }) => id)}::bigint[]) and ${IS_UNUSED}
    `.execute(tx);
  });
}

/** Erases such addresses, whoever left them. */
export async function eraseUnusedAddresses(db: Db): Promise<void> {
  const { rows } = await sql<{ address: string }>`
    select address from inboxes b where user_id is null and address not like 'erased:%' and ${IS_UNUSED} limit ${UNUSED_AT_ONCE}
  `.execute(db);
  for (const { address } of rows) await eraseUnusedAddress(db, address);
}

/** Sends notifications whose time has come, `limit` at most. Returns what covers their wakes. Locks each inbox. */
export async function sendScheduled(db: Db, limit: number): Promise<readonly EndpointsChanged[]> {
  const { rows } = await sql<{ id: string; inbox: number }>`
    select id, inbox_id as inbox from notifications where seq is null and send_at <= now() order by send_at limit ${limit}
  `.execute(db);
  const sent: EndpointsChanged[] = [];
  for (const { id, inbox } of rows) {
    const changed = await db.transaction().execute(async (tx) => {
      const { rows: boxes } = await sql<Box>`select id as inbox, head from inboxes where id = ${inbox} for no key update`.execute(
        tx,
      );
      // Another sender may have sent it while the inbox was waited for.
      const { rows: still } = await sql<{ data: Uint8Array }>`
        select data from notifications where id = ${id} and seq is null for share
      `.execute(tx);
      if (boxes[0] === undefined || still[0] === undefined) return null;
      await readyEndpoint(tx, boxes[0]); // where it takes nothing, the notification has failed
      return append(tx, { id, inbox, data: still[0].data });
    });
    if (changed !== null) sent.push(changed);
  }
  return sent;
}

type NotificationStatus = "queued" | "sent" | "delivered" | "failed";

export interface NotificationRow {
  id: string;
  type: string;
  /** Sealed. */
  recipient: Uint8Array;
  provider: string;
  status: NotificationStatus;
  /** Why it failed; null where it has not. */
  reason: string | null;
  sendAt: Date | null;
  /** When its provider reported the last of it. */
  reportedAt: Date | null;
  createdAt: Date;
  /** Microseconds since the epoch: its place in the list. */
  at: number;
}

const ROW = sql`
  n.id, n.type, n.recipient, n.provider, n.send_at as "sendAt", n.reported_at as "reportedAt", n.created_at as "createdAt",
  (extract(epoch from n.created_at) * 1000000)::bigint as at, coalesce(n.reported_code, d.reason, case when n.seq > e.cursor and e.state = 'off' then e.reason end) as reason,
  case
    when n.reported is not null then n.reported
    when d.seq is not null or (n.seq > e.cursor and e.state = 'off') then 'failed'
    when n.seq <= e.cursor then 'sent'
    else 'queued'
  end as status
  from notifications n left join endpoints e on e.inbox_id = n.inbox_id
    left join dead_letters d on d.endpoint_id = e.id and d.seq = n.seq
`;

/** Rows that a page looks at, at most: a page of which few are wanted says where to go on. */
const LOOKED_AT = 2_000;

/**
 * Notifications that a user has sent, the newest first, after a place; up to `limit`. `next` is where to go on;
 * null at the end. Locks nothing.
 */
export async function listNotifications(
  db: Db,
  userId: number,
  { type, status, after, limit }: { type: string | null; status: string | null; after: Place<string> | null; limit: number },
): Promise<{ rows: readonly NotificationRow[]; next: Place<string> | null }> {
  const { rows } = await sql<NotificationRow & { n: number; wanted: boolean }>`
    select * from (
      select listed.*, row_number() over (order by at desc, id desc)::integer as n,
        (${type}::text is null or type = ${type}::text) and (${status}::text is null or status = ${status}::text) as wanted
      from (
        select ${ROW} where n.user_id = ${userId} and n.purpose = 'sent'
          and (${after?.id ?? null}::uuid is null
            or (n.created_at, n.id) < (to_timestamp(${after?.at ?? null}::float8 / 1000000), ${after?.id ?? null}::uuid))
        order by n.created_at desc, n.id desc limit ${LOOKED_AT}
      ) listed
    ) looked
    where wanted or n = ${LOOKED_AT} order by n limit ${limit + 1}
  `.execute(db);
  return scannedPage(rows, { limit, lookedAt: LOOKED_AT, placeOf: ({ at, id }) => ({ at, id }) });
}

/** Of the history of one. */
const MOST_ATTEMPTS = 100;

/** One attempt to send a notification. */
export interface NotificationAttempt {
  at: Date;
  outcome: string;
  status: number | null;
  ms: number;
  error: string | null;
}

/** A notification of this user, with all attempts, the first one first; null where there is none. Locks nothing. */
export async function findNotification(
  db: Db,
  userId: number,
  id: string,
): Promise<{ notification: NotificationRow; attempts: readonly NotificationAttempt[] } | null> {
  const { rows } = await sql<NotificationRow>`
    select ${ROW} where n.user_id = ${userId} and n.purpose = 'sent' and n.id = ${id}
  `.execute(db);
  if (rows[0] === undefined) return null;
  const attempts = await sql<NotificationAttempt>`
    select a.at, a.outcome, a.status, a.ms, a.error from notifications n
      join endpoints e on e.inbox_id = n.inbox_id join attempts a on a.endpoint_id = e.id and a.seq = n.seq
    where n.id = ${id} order by a.at limit ${MOST_ATTEMPTS}
  `.execute(db);
  return { notification: rows[0], attempts: attempts.rows };
}

/**
 * Notes what a provider has told of a notification: what was told first stays, whatever comes later, or again.
 */
export async function reportNotification(
  db: Db,
  id: string,
  reported: "delivered" | "failed",
  code: string | null,
): Promise<void> {
  await sql`
    update notifications set reported = ${reported}, reported_code = ${reported === "failed" ? code : null}, reported_at = now()
    where id = ${id} and seq is not null and reported is null
  `.execute(db);
}

/**
 * Erases what a user has sent to outside addresses: what waits there is passed over. An address that nobody has
 * sent to any more is erased, too, by `prune`. Locks the inboxes, a few at a time.
 */
export async function eraseNotifications(db: Db, userId: number): Promise<void> {
  for (;;) {
    const erased = await db.transaction().execute(async (tx) => {
      const { rows: inboxes } = await sql<{ id: number }>`
        select id from inboxes where id in (select inbox_id from notifications where user_id = ${userId} limit ${ERASED_AT_ONCE})
        order by id for update
      `.execute(tx);
      const ids = inboxes.map(({ id }) => id);
      await sql`
        with gone as (
          delete from notifications where user_id = ${userId} and inbox_id = any(${ids}::bigint[]) returning inbox_id, seq
        )
        update events v set data = null from gone where v.inbox_id = gone.inbox_id and v.seq = gone.seq
      `.execute(tx);
      await sql`
        update inboxes b set address = 'erased:' || id
        where id = any(${ids}::bigint[]) and ${IS_UNUSED}
      `.execute(tx);
      return ids.length;
    });
    if (erased === 0) return;
  }
}

/** Erases what users have sent that are no more: their deletion may have broken off, or a request was under way. */
export async function eraseNotificationsOfNobody(db: Db): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ userId: number }>`
      select distinct user_id as "userId" from notifications n where purpose <> 'operator' and not exists (select from users u where u.id = n.user_id) limit 100
    `.execute(db);
    for (const { userId } of rows) await eraseNotifications(db, userId);
    if (rows.length < 100) return;
  }
}

/** Notes what its provider calls a notification, so that it can be asked. */
export async function noteProviderId(db: Db, id: string, providerId: string): Promise<void> {
  await sql`update notifications set provider_id = ${providerId} where id = ${id}`.execute(db);
}

const UNREPORTED_FROM_DAYS = 1;
/** Providers forget, too. */
const UNREPORTED_UNTIL_DAYS = 7;

/** Takes notifications that were sent a day ago and of which nothing was heard since: once a day each. */
export async function takeUnreported(
  db: Db,
  limit: number,
): Promise<readonly { id: string; address: string; providerId: string }[]> {
  const { rows } = await sql<{ id: string; address: string; providerId: string }>`
    with taken as materialized (
      select id from notifications
      where provider_id is not null and reported is null
        and coalesce(send_at, created_at) > now() - ${UNREPORTED_UNTIL_DAYS} * interval '1 day'
        and coalesce(asked_at, send_at, created_at) < now() - ${UNREPORTED_FROM_DAYS} * interval '1 day'
      order by coalesce(send_at, created_at) limit ${limit} for update skip locked
    )
    update notifications n set asked_at = now() from taken, inboxes b where n.id = taken.id and b.id = n.inbox_id
    returning n.id, b.address, n.provider_id as "providerId"
  `.execute(db);
  return rows;
}

/** A channel that no sender has had for so long is off. */
const CHANNEL_LASTS_S = 180;

/** Says what this sender delivers by: to be called again each minute. */
export async function announceChannels(db: Db, channels: readonly { scheme: string; provider: string }[]): Promise<void> {
  if (channels.length === 0) return;
  await sql`
    insert into channels (scheme, provider)
    select * from unnest(${channels.map(({ scheme }) => scheme)}::text[], ${channels.map(({ provider }) => provider)}::text[])
    on conflict (scheme) do update set provider = excluded.provider, seen_at = now()
  `.execute(db);
}

/** Who delivers to addresses of a scheme; null where nobody does. */
export async function findProvider(db: Db, scheme: string): Promise<string | null> {
  const { rows } = await sql<{ provider: string }>`
    select provider from channels where scheme = ${scheme} and seen_at > now() - ${CHANNEL_LASTS_S} * interval '1 second'
  `.execute(db);
  return rows[0]?.provider ?? null;
}
