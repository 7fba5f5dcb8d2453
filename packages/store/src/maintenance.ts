import { sql } from "kysely";
import type { Db } from "./database.ts";
import { pruneContacts } from "./contacts.ts";
import { pruneGone } from "./gone-addresses.ts";
import { pruneInvitations } from "./invitations.ts";
import { pruneOperatorNews } from "./operator-news.ts";
import { pruneResets } from "./password-resets.ts";
import { pruneBlocks } from "./people.ts";
import { pruneRateLimits } from "./rate-limits.ts";
import { pruneSecondFactors } from "./second-factors.ts";
import { deleteSome } from "./delete-some.ts";
import { eraseAbandonedGroups } from "./groups.ts";
import { pruneSignIns } from "./identities.ts";
import { pruneNotices } from "./notices.ts";
import { eraseNotificationsOfNobody, eraseUnusedAddresses, pruneOwnNotifications } from "./notifications.ts";
import { endExpiredSessions } from "./sessions.ts";
import { eraseDeletedAccounts } from "./users.ts";

/** Whether the database answers. @throws what it answers instead. */
export async function ping(db: Db): Promise<void> {
  await sql`select 1`.execute(db);
}

/**
 * Deletes what is older than `days`: attempts, and sessions that ended (but not the one that gives a user's
 * public key). Erases groups that everybody left before that. Ends sessions that have expired. Goes on with erasures that broke off. Can run in several
 * processes at once.
 */
export async function prune(db: Db, days: number): Promise<void> {
  const before = sql`now() - ${days} * interval '1 day'`;
  await deleteSome(db, "attempts", sql`at < ${before}`);
  await deleteSome(
    db,
    "sessions",
    sql`revoked_at < ${before} and (public_key is null or exists (
      select from sessions newer where newer.user_id = sessions.user_id and newer.public_key is not null and newer.id > sessions.id
    ))`,
  );
  await sql`delete from stream_tickets where expires_at < now()`.execute(db);
  await sql`delete from probes where created_at < now() - interval '1 hour'`.execute(db);
  await pruneGone(db);
  await pruneResets(db);
  await pruneBlocks(db);
  await pruneSecondFactors(db);
  await pruneRateLimits(db);
  await pruneSignIns(db);
  await pruneInvitations(db);
  await pruneOperatorNews(db);
  await pruneContacts(db);
  await pruneNotices(db);
  await pruneOwnNotifications(db);
  await endExpiredSessions(db);
  await eraseNotificationsOfNobody(db);
  await eraseUnusedAddresses(db);
  await eraseDeletedAccounts(db);
  // A process of an older version may have ended what covered them.
  await sql`
    update endpoints set retry_at = now(), lease_by = null where replaying and retry_at is null and state = 'active'
  `.execute(db);
  await eraseAbandonedGroups(db, days);
}

const MIB = 1024 * 1024;
const CHECKPOINT_AFTER_BYTES = 64 * MIB;
const OUTBOX_VACUUM_ABOVE_BYTES = MIB / 4;
const VACUUM_EVERY_MS = 60_000;

/**
 * What a server does by itself, and an embedded database does not: returns a function to call every second or
 * so, that makes a checkpoint for every 64 MB of write-ahead log, empties the outbox's dead rows, and once a
 * minute vacuums and analyses the tables that change most.
 */
export function createEmbeddedMaintenance(db: Db, monotonic: () => number): () => Promise<void> {
  let checkpointed: string | undefined;
  let vacuumed = monotonic();

  return async () => {
    const { rows } = await sql<{ position: string; written: number; outbox: number }>`
      select pg_current_wal_lsn()::text as position, pg_relation_size('outbox') as outbox,
        (pg_current_wal_lsn() - coalesce(${checkpointed ?? null}::pg_lsn, '0/0'))::float8 as written
    `.execute(db);
    const now = rows[0];
    if (now === undefined) return;
    if (now.outbox > OUTBOX_VACUUM_ABOVE_BYTES) await sql`vacuum outbox`.execute(db);
    if (checkpointed === undefined || now.written > CHECKPOINT_AFTER_BYTES) {
      await sql`checkpoint`.execute(db);
      checkpointed = now.position;
    }
    if (monotonic() - vacuumed > VACUUM_EVERY_MS) {
      for (const table of ["inboxes", "endpoints", "outbox", "sessions"])
        await sql`vacuum (analyze) ${sql.table(table)}`.execute(db);
      for (const table of ["messages", "events", "attempts"]) await sql`analyze ${sql.table(table)}`.execute(db);
      vacuumed = monotonic();
    }
  };
}
