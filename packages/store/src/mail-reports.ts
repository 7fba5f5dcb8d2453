import { sql } from "kysely";
import { deleteContact } from "./contacts.ts";
import type { Db } from "./database.ts";
import { announceChange, switchOff } from "./endpoints.ts";
import { reportNotification } from "./notifications.ts";

/**
 * Notes that an e-mail was returned, or taken for spam, after a relay had taken it: the notification has failed. Where
 * `isGone`, nothing is sent to its address for a while; where `isUnwanted`, the contact that was told by it ends. False where
 * there is no such notification. Locks the address' inbox, then its endpoint.
 */
export async function noteMailReport(
  db: Db,
  report: { notification: string; code: string; isGone: boolean; isUnwanted: boolean },
): Promise<boolean> {
  const { rows } = await sql<{ inbox: number; userId: number; contact: number | null }>`
    select n.inbox_id as inbox, n.user_id as "userId", (
      select k.id from contacts k join inboxes b on b.address = k.address
      where b.id = n.inbox_id and k.user_id = n.user_id and n.purpose = 'notice'
    ) as contact
    from notifications n where n.id = ${report.notification}::uuid and n.seq is not null and n.type = 'email'
  `.execute(db);
  const [found] = rows;
  if (found === undefined) return false;
  await reportNotification(db, report.notification, "failed", report.code);
  if (report.isGone) {
    await db.transaction().execute(async (tx) => {
      await sql`select from inboxes where id = ${found.inbox} for update`.execute(tx);
      const { rows: off } = await sql`
        update endpoints e set ${switchOff(report.code)}, failing_since = now()
        where inbox_id = ${found.inbox} and state = 'active' returning id
      `.execute(tx);
      if (off.length > 0) await announceChange(tx, found.inbox);
    });
  }
  if (report.isUnwanted && found.contact !== null) await deleteContact(db, found.userId, found.contact);
  return true;
}
