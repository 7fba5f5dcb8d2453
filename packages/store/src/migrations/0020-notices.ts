import { sql } from "kysely";
import type { Db } from "../database.ts";

/**
 * Contacts are where users are told of messages that they have not read: by e-mail, by phone, in a browser. One is
 * used once it is verified, by a `code` (sealed) that was sent there. A browser is one as long as the session in which
 * it subscribed; `secret` are the keys of its subscription, sealed. An inbox whose user has one is marked (`has_contacts`), so that an append need not look.
 * `notices` are what each contact is to be told, and was told last, of each conversation.
 * `purpose` of a notification: `sent` by a user to an outside address, or a `notice` or `code` of our own.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`
      create table if not exists contacts (
        id bigint generated always as identity primary key,
        user_id bigint not null,
        type text not null,
        address text not null,
        secret bytea,
        session_id bigint,
        verified_at timestamptz,
        code bytea,
        code_at timestamptz,
        code_tries smallint not null default 0,
        shows_content boolean not null default false,
        language text not null default 'en',
        delay_s integer not null,
        window_s integer not null,
        quiet_from smallint,
        quiet_until smallint,
        time_zone text not null default 'UTC',
        token bytea not null,
        token_hash bytea not null,
        created_at timestamptz not null default now()
      )
    `,
    sql`create unique index if not exists contacts_address on contacts (user_id, address)`,
    sql`create index if not exists contacts_of_address on contacts (address)`,
    sql`create unique index if not exists contacts_token on contacts (token_hash)`,
    sql`
      create table if not exists notices (
        contact_id bigint not null,
        conversation_id bigint not null,
        waiting integer not null default 0,
        message_id uuid,
        due_at timestamptz,
        sent_at timestamptz,
        notification_id uuid,
        primary key (contact_id, conversation_id)
      )
    `,
    sql`create index if not exists notices_due on notices (due_at) where due_at is not null`,
    sql`alter table inboxes add column if not exists has_contacts boolean not null default false`,
    sql`alter table notifications add column if not exists purpose text not null default 'sent'`,
    sql`create index if not exists notifications_own on notifications (type, created_at) where purpose <> 'sent'`,
  ];
  for (const statement of statements) await statement.execute(db);
}
