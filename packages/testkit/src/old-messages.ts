import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";

/** Fills a database with old messages, spread evenly over its inboxes, 6 ms after one another. */
export async function fillWithOldMessages(db: Kysely<unknown>, messages: number, inboxes: number): Promise<void> {
  await sql`
    insert into users (username, username_key, password_hash) select 'old' || n, 'old' || n, '-' from generate_series(1, ${inboxes}::integer) n
  `.execute(db);
  await sql`
    insert into inboxes (user_id, head)
    select id, ${Math.ceil(messages / inboxes)}::bigint from users where username like 'old%'
  `.execute(db);
  // Ids that sort by their time, as those do that are made here; contents as long as that of a message of 450 characters.
  await sql`
    create temporary table old as
      select (lpad(to_hex(1700000000000 + n * 6), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid as id,
        1 + n % ${inboxes}::integer as n, 1 + n / ${inboxes}::integer as seq, to_timestamp(1700000000 + n * 0.006) as at
      from generate_series(0, ${messages}::integer - 1) n
  `.execute(db);
  // Their conversations are nobody's: the contents are no messages that could be read.
  await sql`
    insert into messages (id, conversation_id, sender_id, content, sent_at, created_at)
    select id, 1000000000 + n, n, decode(repeat(md5(n::text), 40), 'hex'), at, at from old
  `.execute(db);
  await sql`
    insert into events (inbox_id, seq, id, kind, message_id, created_at)
    select b.id, old.seq, old.id, 'message.created', old.id, old.at
    from old join users u on u.username_key = 'old' || old.n join inboxes b on b.user_id = u.id
  `.execute(db);
  await sql`drop table old`.execute(db);
  await sql`vacuum analyze`.execute(db);
}

/**
 * Runs statements on a connection of their own: those of the store must end within seconds, and these take
 * minutes.
 */
export async function patiently(databaseUrl: string, run: (db: Kysely<unknown>) => Promise<void>): Promise<void> {
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: databaseUrl, max: 1 }) }),
  });
  try {
    await run(db);
  } finally {
    await db.destroy();
  }
}
