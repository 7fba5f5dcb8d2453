import { sql } from "kysely";
import type { Db } from "./database.ts";
import { IS_LIVE } from "./sessions.ts";

/** Who a ticket was made for. */
export interface TicketHolder {
  sessionId: number;
  userId: number;
  name: string;
  role: "user" | "admin";
}

/** Of a session; the oldest ones go. */
const MAX_TICKETS = 20;

/** Keeps the hash of a ticket for so many seconds. */
export async function createTicket(db: Db, ticket: { hash: Uint8Array; sessionId: number; seconds: number }): Promise<void> {
  await sql`
    with surplus as (
      select hash from stream_tickets where session_id = ${ticket.sessionId} order by expires_at desc offset ${MAX_TICKETS - 1}
    ),
    dropped as (delete from stream_tickets where hash in (select hash from surplus))
    insert into stream_tickets (hash, session_id, expires_at)
    values (${ticket.hash}, ${ticket.sessionId}, now() + ${ticket.seconds} * interval '1 second')
  `.execute(db);
}

/** Takes a ticket, which can be used once; null where there is none, it has ended, or its session has. */
export async function takeTicket(db: Db, hash: Uint8Array): Promise<TicketHolder | null> {
  const { rows } = await sql<TicketHolder>`
    with taken as (delete from stream_tickets where hash = ${hash} returning session_id, expires_at)
    select s.id as "sessionId", u.id as "userId", coalesce(u.username, u.email) as name, u.role
    from taken join sessions s on s.id = taken.session_id join users u on u.id = s.user_id
    where taken.expires_at > now() and ${IS_LIVE}
  `.execute(db);
  return rows[0] ?? null;
}
