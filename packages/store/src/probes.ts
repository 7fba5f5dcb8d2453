import { sql } from "kysely";
import type { Db } from "./database.ts";
import { ENDPOINT_COLUMNS, type EndpointRow, endpointOf, type SelectedEndpoint } from "./deliveries.ts";
import { forgetGone, isGoneForOthers, rememberGone } from "./gone-addresses.ts";
import { announceChange, type EndpointsChanged, KEEP_LEASE, lockInbox } from "./endpoints.ts";
import { OFF_BY_OWNER } from "./owned-endpoints.ts";
import { IS_LIVE } from "./sessions.ts";

/** What a sender pushes for a listener, outside of the log: a test, or a challenge that proves an address. */
export interface Probe {
  id: string;
  kind: "test" | "challenge";
  /** Of a challenge: what the address must answer. */
  token: string | null;
}

/** What a probe came to. */
export interface ProbeResult {
  result: string;
  status: number | null;
  ms: number;
  error: string | null;
  /** The beginning of the answer, sealed. */
  answer: Uint8Array | null;
}

/** A probe that nobody has taken by then is of no use to anybody. */
const LASTS_S = 60;
/** Of one that a sender took and did not end. */
const TAKEN_AGAIN_AFTER_S = 45;
/** Between two probes of an endpoint, so that nobody has an address asked again and again. */
const PAUSE_S = 5;

/** Probes of an account that are under way at the same time, and in an hour. */
const AT_ONCE_OF_ACCOUNT = 2;
const IN_AN_HOUR_OF_ACCOUNT = 100;

/**
 * Asks for a probe of an endpoint. `too often` where one was asked for within the last seconds, or is under
 * way, or its account has asked for too many (those of endpoints that are deleted count); `gone` where the address of a
 * challenge answered 410 Gone to another account lately.
 */
export async function askProbe(
  db: Db,
  endpoint: { id: number; inbox: number; address: string },
  probe: Probe,
): Promise<"asked" | "too often" | "gone"> {
  if (probe.kind === "challenge" && (await isGoneForOthers(db, endpoint.inbox, endpoint.address))) return "gone";
  await sql`
    update probes set result = 'expired' where inbox_id = ${endpoint.inbox} and result is null and created_at < now() - ${LASTS_S} * interval '1 second'
  `.execute(db);
  const { rows } = await sql`
    insert into probes (id, endpoint_id, inbox_id, kind, token)
    select ${probe.id}, ${endpoint.id}, ${endpoint.inbox}, ${probe.kind}, ${probe.token}
    from (
      select count(*) filter (where result is null) as under_way,
        count(*) filter (where created_at > now() - interval '1 hour') as lately,
        count(*) filter (where endpoint_id = ${endpoint.id} and created_at > now() - ${PAUSE_S} * interval '1 second') as just_now
      from probes where inbox_id = ${endpoint.inbox}
    ) asked
    where under_way < ${AT_ONCE_OF_ACCOUNT} and lately < ${IN_AN_HOUR_OF_ACCOUNT} and just_now = 0
    on conflict do nothing returning id
  `.execute(db);
  return rows.length > 0 ? "asked" : "too often";
}

/** Null as long as it is under way. */
export async function readProbe(db: Db, id: string): Promise<ProbeResult | null> {
  const { rows } = await sql<ProbeResult>`
    select result, status, ms, error, answer from probes where id = ${id} and result is not null
  `.execute(db);
  return rows[0] ?? null;
}

/** Takes probes that are due, with their endpoints; those that somebody else locks are passed over. */
export async function takeProbes(db: Db, limit: number): Promise<readonly { probe: Probe; endpoint: EndpointRow }[]> {
  const { rows } = await sql<SelectedEndpoint & { probeId: string; kind: Probe["kind"]; token: string | null }>`
    with taken as materialized (
      select id from probes where result is null and due_at <= now() and created_at > now() - ${LASTS_S} * interval '1 second'
      order by due_at limit ${limit} for update skip locked
    ),
    mine as (
      update probes set due_at = now() + ${TAKEN_AGAIN_AFTER_S} * interval '1 second' from taken where probes.id = taken.id
      returning probes.id, probes.endpoint_id, probes.kind, probes.token
    )
    select mine.id as "probeId", mine.kind, mine.token, ${ENDPOINT_COLUMNS} from mine join endpoints e on e.id = mine.endpoint_id
  `.execute(db);
  return rows.map(({ probeId, kind, token, ...endpoint }) => ({
    probe: { id: probeId, kind, token },
    endpoint: endpointOf(endpoint),
  }));
}

/** Says what a probe came to. */
export async function endProbe(db: Db, id: string, { result, status, ms, error, answer }: ProbeResult): Promise<void> {
  await sql`
    update probes set result = ${result}, status = ${status}, ms = ${Math.round(ms)}, error = ${error}, answer = ${answer}::bytea
    where id = ${id} and result is null
  `.execute(db);
}

/**
 * The address of an endpoint has shown that it wants pushes, or (`refusal`) has not, for good where it `isGone`. Where the
 * endpoint has another address by now, that says nothing of it. Otherwise it is active from then on, unless
 * its owner wants it disabled at first. Locks the inbox, then its endpoints.
 */
export async function settleChallenge(
  db: Db,
  { id: endpointId, address }: { id: number; address: string },
  refusal: string | null,
  isGone: boolean,
): Promise<EndpointsChanged | null> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ userId: number | null }>`
      select b.user_id as "userId" from endpoints e join inboxes b on b.id = e.inbox_id where e.id = ${endpointId}
    `.execute(tx);
    const userId = rows[0]?.userId ?? null;
    const inbox = userId === null ? null : await lockInbox(tx, userId);
    if (inbox === null) return null;
    // Under the lock: it may have moved since it was asked, or while the lock was waited for.
    const { rows: still } = await sql`select from endpoints where id = ${endpointId} and address = ${address}`.execute(tx);
    if (still.length === 0) return null;
    if (isGone) await rememberGone(tx, inbox.id, address);
    else if (refusal === null) await forgetGone(tx, inbox.id, address);
    if (refusal !== null) {
      await sql`update endpoints set reason = ${refusal} where id = ${endpointId} and verified_at is null`.execute(tx);
      return null;
    }
    const settled = await sql`
      update endpoints e set verified_at = now(), state = case when begins_off then 'off' else 'active' end,
        reason = case when begins_off then ${OFF_BY_OWNER}::text end, ${KEEP_LEASE}, generation = generation + 1
      where id = ${endpointId} and verified_at is null
        and (kept_by = 'owner' or exists (select from sessions s where s.endpoint_id = e.id and ${IS_LIVE}))
      returning id
    `.execute(tx);
    return settled.rows.length === 0 ? null : announceChange(tx, inbox.id);
  });
}
