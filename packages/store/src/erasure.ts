import { sql } from "kysely";
import { eraseContents } from "./change-messages.ts";
import type { Db } from "./database.ts";
import { announceChange, type EndpointsChanged, lockInbox, switchOff } from "./endpoints.ts";
import { endAllSessions } from "./sessions.ts";

/** After so long without a sign of life, another listener takes an erasure over. */
const ABANDONED_AFTER = sql`interval '1 minute'`;
const CLAIMED_AT_ONCE = 10;

/**
 * Begins to erase an account: from now on nobody signs in to it, its sessions and API tokens have ended, and nothing is
 * pushed to its endpoints. Null where there is no such user. Locks the inbox, then its endpoints.
 */
export async function beginErasure(
  db: Db,
  userId: number,
): Promise<{ ended: readonly number[]; changed: EndpointsChanged } | null> {
  return db.transaction().execute(async (tx) => {
    const inbox = await lockInbox(tx, userId);
    if (inbox === null) return null;
    await sql`
      update users set deleting_at = now(), suspended_at = coalesce(suspended_at, now()) where id = ${userId}
    `.execute(tx);
    const ended = await endAllSessions(tx, userId, "the account was deleted");
    await sql`
      update endpoints e set ${switchOff("the account was deleted")}
      where inbox_id = ${inbox.id} and state = 'active'
    `.execute(tx);
    return { ended, changed: await announceChange(tx, inbox.id) };
  });
}

/** Takes over erasures that were abandoned. */
export async function claimErasures(db: Db): Promise<readonly number[]> {
  const { rows } = await sql<{ id: number }>`
    update users set deleting_at = now() where id in (
      select id from users where deleting_at < now() - ${ABANDONED_AFTER} order by deleting_at limit ${CLAIMED_AT_ONCE} for update skip locked
    ) returning id
  `.execute(db);
  return rows.map(({ id }) => id);
}

/** A sign of life of an erasure. */
export async function holdErasure(db: Db, userId: number): Promise<void> {
  await sql`update users set deleting_at = now() where id = ${userId} and deleting_at is not null`.execute(db);
}

/** A conversation that somebody has written in. */
export interface Written {
  id: number;
  isGroup: boolean;
  /** Nobody else takes part in it. */
  isAlone: boolean;
}

/** Where a user has written: conversations that they take part in, and groups that they were in. Locks nothing. */
export async function listWritten(db: Db, userId: number): Promise<readonly Written[]> {
  const { rows } = await sql<Written>`
    select c.id, c.low_user_id is null as "isGroup", not exists (
      select from participants p where p.conversation_id = c.id and p.user_id <> ${userId}
    ) as "isAlone"
    from conversations c where c.id in (
      select conversation_id from participants where user_id = ${userId}
      union select conversation_id from left_groups where user_id = ${userId}
    ) order by c.id
  `.execute(db);
  return rows;
}

/** Erases all messages of a conversation in which nobody else takes part: a slice of them; false where none are left. */
export async function eraseSlice(db: Db, conversation: number, userId: number, limit: number): Promise<boolean> {
  const { rows } = await sql<{ id: string }>`
    select id from messages where conversation_id = ${conversation} and content is not null and ${isAlone(conversation, userId)}
    order by created_at, id limit ${limit}
  `.execute(db);
  await eraseContents(
    db,
    rows.map(({ id }) => id),
  );
  return rows.length > 0;
}

/** A version of a message that somebody sent; the current one where `version` is null. */
export interface SentContent {
  id: string;
  version: number | null;
  /** Sealed under the id. */
  content: Uint8Array;
}

/** Where a list of sent messages goes on. */
export interface SentPlace {
  /** To the microsecond, as the database writes it. */
  at: string;
  id: string;
}

/**
 * Messages that a user sent in a conversation, with their earlier versions, after a place: up to `limit` messages. `last` is
 * where the next ones follow; null where there are none. Locks nothing.
 */
export async function readSent(
  db: Db,
  { conversation, userId, after, limit }: { conversation: number; userId: number; after: SentPlace | null; limit: number },
): Promise<{ contents: readonly SentContent[]; last: SentPlace | null }> {
  const { rows } = await sql<{ id: string; content: Uint8Array; at: string }>`
    select m.id, m.content, m.created_at::text as at from messages m
    where m.conversation_id = ${conversation} and m.sender_id = ${userId} and m.content is not null
      ${after === null ? sql`` : sql`and (m.created_at, m.id) > (${after.at}::timestamptz, ${after.id}::uuid)`}
    order by m.created_at, m.id limit ${limit}
  `.execute(db);
  const { rows: versions } = await sql<SentContent>`
    select message_id as id, version, content from message_versions
    where message_id = any(${rows.map(({ id }) => id)}::uuid[]) and content is not null
  `.execute(db);
  const last = rows.at(-1);
  return {
    contents: [...rows.map(({ id, content }) => ({ id, version: null, content })), ...versions],
    last: last === undefined ? null : { at: last.at, id: last.id },
  };
}

/** Gives sent messages other contents; those that were erased meanwhile stay so. */
export async function rewriteSent(db: Db, contents: readonly SentContent[]): Promise<void> {
  const ids = sql`${contents.map(({ id }) => id)}::uuid[]`;
  const versions = sql`${contents.map(({ version }) => version)}::integer[]`;
  const bytes = sql`${contents.map(({ content }) => content)}::bytea[]`;
  await sql`
    update messages m set content = v.content from unnest(${ids}, ${versions}, ${bytes}) as v (id, version, content)
    where m.id = v.id and v.version is null and m.content is not null
  `.execute(db);
  await sql`
    update message_versions o set content = v.content from unnest(${ids}, ${versions}, ${bytes}) as v (id, version, content)
    where o.message_id = v.id and o.version = v.version and o.content is not null
  `.execute(db);
}

/** What somebody sent, as it was when it was reported. Locks nothing. */
export async function readReported(db: Db, userId: number): Promise<readonly (SentContent & { report: number })[]> {
  const { rows } = await sql<SentContent & { report: number }>`
    select id as report, message_id as id, null::integer as version, content from reports
    where sender_id = ${userId} and content is not null
  `.execute(db);
  return rows;
}

/** Gives what was reported another content; none where that is null. */
export async function rewriteReported(
  db: Db,
  contents: readonly { report: number; content: Uint8Array | null }[],
): Promise<void> {
  await sql`
    update reports r set content = v.content
    from unnest(${contents.map(({ report }) => report)}::bigint[], ${contents.map(({ content }) => content)}::bytea[]) as v (id, content)
    where r.id = v.id
  `.execute(db);
}

/** What an event or a notification says, sealed under its id. */
export interface SealedData {
  id: string;
  data: Uint8Array;
}

/** What events say of who was added to a group. Locks nothing. */
export async function readAdded(db: Db, conversation: number): Promise<readonly SealedData[]> {
  const { rows } = await sql<SealedData>`
    select distinct on (id) id, data from events where conversation_id = ${conversation} and kind = 'member.added' and data is not null
  `.execute(db);
  return rows;
}

/** Has events that tell who was added to a group say something else. */
export async function rewriteAdded(db: Db, conversation: number, said: readonly SealedData[]): Promise<void> {
  await sql`
    update events e set data = v.data from unnest(${said.map(({ id }) => id)}::uuid[], ${said.map(({ data }) => data)}::bytea[]) as v (id, data)
    where e.conversation_id = ${conversation} and e.kind = 'member.added' and e.id = v.id
  `.execute(db);
}

/** Notices that others were sent of what a user wrote: up to `limit`. Locks nothing. */
export async function readNotices(db: Db, userId: number, limit: number): Promise<readonly SealedData[]> {
  const { rows } = await sql<SealedData>`
    select id, data from notifications where about_user_id = ${userId} order by id limit ${limit}
  `.execute(db);
  return rows;
}

/** Has notices say something else, and the events by which they were sent: what they say is nobody's any more. */
export async function rewriteNotices(db: Db, said: readonly SealedData[]): Promise<void> {
  await sql`
    with given as (
      select * from unnest(${said.map(({ id }) => id)}::uuid[], ${said.map(({ data }) => data)}::bytea[]) as g (id, data)
    ),
    rewritten as (
      update notifications n set data = g.data, about_user_id = null from given g where n.id = g.id
      returning n.inbox_id, n.seq, g.data
    )
    update events e set data = r.data from rewritten r where e.inbox_id = r.inbox_id and e.seq = r.seq
  `.execute(db);
}

/** Nobody but a user takes part in a conversation. */
const isAlone = (conversation: number, userId: number) => sql`not exists (
  select from participants p where p.conversation_id = ${conversation} and p.user_id <> ${userId}
)`;

/** Gives a group that nobody else takes part in another title, sealed, and forgets the request that it was made by. */
export async function rewriteTitle(db: Db, conversation: number, userId: number, title: Uint8Array): Promise<void> {
  await sql`
    update conversations set title = ${title}, request_key = null, request = null
    where id = ${conversation} and ${isAlone(conversation, userId)}
  `.execute(db);
}
