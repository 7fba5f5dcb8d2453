import type { Broker } from "@messenger/broker";
import { createIds, createKeyring, type Keyring, systemClock, systemRandom, webhookSecretContext } from "@messenger/core";
import { appendMessages, type Db, deleteOutbox, type NewMessage } from "@messenger/store";
import { sql } from "kysely";

export const SECRET = "a secret of the benchmarks, of more than 32 bytes";
const keyring: Keyring = createKeyring({ secret: SECRET, random: systemRandom });
const ids = createIds({ clock: systemClock, random: systemRandom });

/** The text of a message: with it, a pushed body is about 700 bytes. */
export const TEXT = "The quick brown fox jumps over the lazy dog. ".repeat(10);

export interface Recipient {
  userId: number;
  inbox: number;
}

const AT_ONCE = 5_000;

/** Makes users with inboxes, straight in the database: hashing ten thousand passwords is not what is measured. */
export async function addRecipients(db: Db, count: number): Promise<Recipient[]> {
  const recipients: Recipient[] = [];
  for (let from = 0; from < count; from += AT_ONCE) {
    const { rows } = await sql<Recipient>`
      with person as (
        insert into users (username, username_key, password_hash)
        select name, name, '-' from (
          select 'r' || nextval(pg_get_serial_sequence('users', 'id')) as name from generate_series(1, ${Math.min(AT_ONCE, count - from)}::integer)
        ) as fresh
        returning id
      )
      insert into inboxes (user_id) select id from person order by id returning user_id as "userId", id as inbox
    `.execute(db);
    recipients.push(...rows);
  }
  return recipients;
}

/** Gives each recipient an endpoint, as a log-in does; returns their ids, in the same order. */
export async function addEndpoints(
  db: Db,
  recipients: readonly Recipient[],
  addressOf: (recipient: Recipient, n: number) => string,
): Promise<number[]> {
  const endpoints: number[] = [];
  for (let from = 0; from < recipients.length; from += AT_ONCE) {
    const some = recipients.slice(from, from + AT_ONCE).map((recipient, n) => {
      const address = addressOf(recipient, from + n);
      const secret = keyring.webhookSecrets.seal(webhookSecretContext(recipient.inbox, address), systemRandom.bytes(24));
      return { inbox: recipient.inbox, address, secret };
    });
    const { rows } = await sql<{ id: number }>`
      insert into endpoints (inbox_id, address, kinds, secret)
      select inbox, address, '{message.created}', secret
      from unnest(
        ${some.map((one) => one.inbox)}::bigint[], ${some.map((one) => one.address)}::text[], ${some.map((one) => one.secret)}::bytea[]
      ) as t (inbox, address, secret)
      returning id
    `.execute(db);
    endpoints.push(...rows.map((row) => row.id));
  }
  return endpoints;
}

/** What a listener would seal, and under which id. */
export function messageContent(from: Pick<Recipient, "userId">, to: Pick<Recipient, "userId">): { id: string; plain: Buffer } {
  const content = {
    message: TEXT,
    sender_id: from.userId,
    sender_username: "bench",
    receiver_id: to.userId,
    send_date: "2026-01-02 03:04:05",
  };
  return { id: ids.next(), plain: Buffer.from(JSON.stringify(content)) };
}

/** A message as a listener would append it. */
function newMessage(from: Recipient, to: Recipient): NewMessage & { plain: Uint8Array } {
  const { id, plain } = messageContent(from, to);
  return {
    id,
    sentEventId: ids.next(),
    senderId: from.userId,
    to: { user: to.userId },
    sessionId: 0,
    content: keyring.contents.seal(id, plain),
    plain,
    sentAt: Date.now(),
    requestKey: null,
  };
}

const BATCH = 500;

/** Appends so many messages from each of these to one of them: a conversation with each. Publishes nothing. */
export async function appendConversations(db: Db, to: Recipient, from: readonly Recipient[], each: number): Promise<void> {
  const messages = Array.from({ length: each }, () => from)
    .flat()
    .map((sender) => newMessage(sender, to));
  for (let start = 0; start < messages.length; start += BATCH) {
    const { outboxId } = await appendMessages(db, messages.slice(start, start + BATCH));
    if (outboxId !== null) await deleteOutbox(db, [outboxId]);
  }
}

/**
 * Appends messages, each recipient in turn, and publishes them if there is a broker, as listeners do: so a
 * backlog is made.
 */
export async function appendBacklog(
  db: Db,
  options: { from: Recipient; recipients: readonly Recipient[]; count: number; broker?: Broker },
): Promise<void> {
  const { from, recipients, count, broker } = options;
  for (let start = 0; start < count; start += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, count - start) }, (_, n) =>
      newMessage(from, recipients[(start + n) % recipients.length] as Recipient),
    );
    const { events, outboxId } = await appendMessages(db, batch);
    if (events.length !== batch.length || outboxId === null) throw new Error("not all of a backlog was appended");
    const contents = new Map(batch.map((message) => [message.id, message.plain]));
    const messages = events.map((event) => ({
      type: "event" as const,
      ...event,
      content: contents.get(event.messageId as string) as Uint8Array,
      sealed: false as const,
    }));
    if (broker !== undefined && !(await broker.publish(messages))) throw new Error("the broker did not take a backlog");
    await deleteOutbox(db, [outboxId]);
  }
}
