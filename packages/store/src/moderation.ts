import { type RawBuilder, sql } from "kysely";
import { IS_VISIBLE } from "./append-events.ts";
import type { Db } from "./database.ts";

/** Why somebody reports a message. */
export type ReportReason = "spam" | "abuse" | "illegal" | "other";
/** What was done about it. */
export type Resolution = "dismiss" | "delete_message" | "suspend_sender";

/** Of one user, that nobody has resolved. */
const MAX_OPEN = 100;

/**
 * Reports a message to the moderators, as it is now. `no-message` where the user cannot read it; `own` where it is the
 * user's own; `full` where the user has reported as many as may be open. Locks nothing else.
 */
export async function reportMessage(
  db: Db,
  { messageId, userId, reason, comment }: { messageId: string; userId: number; reason: ReportReason; comment: Uint8Array | null },
): Promise<"reported" | "no-message" | "own" | "full"> {
  const { rows } = await sql<{ sender: number; content: Uint8Array; open: number }>`
    select m.sender_id as sender, m.content,
      (select count(*)::integer from reports r where r.reporter_id = ${userId} and r.resolved_at is null and r.message_id <> m.id) as open
    from messages m join participants p on p.conversation_id = m.conversation_id and p.user_id = ${userId}
    where m.id = ${messageId} and m.content is not null and ${IS_VISIBLE}
  `.execute(db);
  const [message] = rows;
  if (message === undefined) return "no-message";
  if (message.sender === userId) return "own";
  if (message.open >= MAX_OPEN) return "full";
  await sql`
    insert into reports as r (message_id, sender_id, reporter_id, reason, comment, content)
    values (${messageId}, ${message.sender}, ${userId}, ${reason}, ${comment}, ${message.content})
    on conflict (message_id, reporter_id) do update set reason = excluded.reason, comment = excluded.comment, content = excluded.content,
      created_at = now(), resolution = null, resolved_at = null
  `.execute(db);
  return "reported";
}

/** A report, as a moderator sees it. */
export interface ReportRow {
  id: number;
  messageId: string;
  conversation: number;
  senderId: number;
  /** Null once the account was deleted. */
  sender: { username: string | null } | null;
  reporterId: number;
  reporter: string | null;
  reason: ReportReason;
  /** Sealed under {@link reportContext}. */
  comment: Uint8Array | null;
  /** Sealed under the message's id; null once the sender's account was deleted. */
  content: Uint8Array | null;
  createdAt: Date;
  /** Others of the same sender that are open. */
  others: number;
  resolution: Resolution | null;
  resolvedAt: Date | null;
}

/** What a report's comment is sealed under. */
export const reportContext = (messageId: string, reporter: number): string => `report/${messageId}/${reporter}`;

async function select(db: Db, where: RawBuilder<unknown>): Promise<readonly ReportRow[]> {
  const { rows } = await sql<Omit<ReportRow, "sender"> & { isSenderThere: boolean; senderName: string | null }>`
    select r.id, r.message_id as "messageId", m.conversation_id as conversation, r.sender_id as "senderId", s.id is not null as "isSenderThere",
      s.username as "senderName", r.reporter_id as "reporterId", u.username as reporter, r.reason, r.comment, r.content,
      r.created_at as "createdAt", r.resolution, r.resolved_at as "resolvedAt", (
        select count(*)::integer from reports o where o.sender_id = r.sender_id and o.resolved_at is null and o.id <> r.id
      ) as others
    from reports r join messages m on m.id = r.message_id join users u on u.id = r.reporter_id left join users s on s.id = r.sender_id
    where ${where}
  `.execute(db);
  return rows.map(({ isSenderThere, senderName, ...row }) => ({
    ...row,
    sender: isSenderThere ? { username: senderName } : null,
  }));
}

/** Reports after one of them, by their ids: open ones, or others; up to `limit`. Locks nothing. */
export function listReports(
  db: Db,
  { after, limit, isResolved }: { after: number; limit: number; isResolved: boolean },
): Promise<readonly ReportRow[]> {
  const state = isResolved ? sql`r.resolved_at is not null` : sql`r.resolved_at is null`;
  return select(db, sql`r.id > ${after} and ${state} order by r.id limit ${limit}`);
}

/** Null where there is none. Locks nothing. */
export async function findReport(db: Db, id: number): Promise<ReportRow | null> {
  return (await select(db, sql`r.id = ${id}`))[0] ?? null;
}

/** Resolves all reports of a message that are open. */
export async function resolveReports(db: Db, messageId: string, resolution: Resolution): Promise<void> {
  await sql`
    update reports set resolution = ${resolution}, resolved_at = now() where message_id = ${messageId} and resolved_at is null
  `.execute(db);
}
