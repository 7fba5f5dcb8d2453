import { sql } from "kysely";
import type { Db } from "../database.ts";

const AT_ONCE = 5_000;

/**
 * What users say of themselves (`about`), whether they are found by their e-mail address and phone number, and whom they
 * block; an inbox whose user blocks anybody is marked (`has_blocks`), so that an append need not look.
 *
 * `search_names` are the beginnings that users are found by: the user name, the full name, and each word of it, without
 * case and accents. A trigger keeps them, whatever version of a listener writes `users`.
 */
export async function up(db: Db): Promise<void> {
  const statements = [
    sql`
      alter table users
        add column if not exists about text,
        add column if not exists found_by_email boolean not null default false,
        add column if not exists found_by_phone boolean not null default false
    `,
    sql`alter table inboxes add column if not exists has_blocks boolean not null default false`,
    sql`
      create table if not exists blocks (
        user_id bigint not null,
        blocked_id bigint not null,
        at timestamptz not null default now(),
        primary key (user_id, blocked_id)
      )
    `,
    sql`create index if not exists blocks_of on blocks (blocked_id)`,
    sql`create table if not exists search_names (key text not null, user_id bigint not null, primary key (user_id, key))`,
    sql`create index if not exists search_names_key on search_names (key text_pattern_ops)`,
    sql`
      create or replace function fold_name(name text) returns text language plpgsql immutable parallel safe as $$
      begin
        if name is null then
          return null;
        end if;
        -- a database that takes bytes as they come knows no accents
        if getdatabaseencoding() <> 'UTF8' then
          return lower(name);
        end if;
        return lower(regexp_replace(normalize(name, NFKD), '[\u0300-\u036f]', '', 'g'));
      end $$
    `,
    sql`
      create or replace function search_keys(username text, full_name text) returns setof text language sql immutable as $$
        select distinct key from (
          select fold_name(username) as key
          union all select fold_name(full_name)
          union all select unnest(regexp_split_to_array(fold_name(full_name), '[[:space:]]+'))
        ) keys where key <> ''
      $$
    `,
    sql`
      create or replace function keep_search_names() returns trigger language plpgsql as $$
      begin
        if tg_op <> 'INSERT' then
          delete from search_names where user_id = old.id;
        end if;
        if tg_op <> 'DELETE' then
          insert into search_names (key, user_id) select key, new.id from search_keys(new.username, new.full_name) key on conflict do nothing;
        end if;
        return null;
      end $$
    `,
    sql`
      create or replace trigger users_search_names after insert or update of username, full_name or delete on users
      for each row execute function keep_search_names()
    `,
  ];
  for (const statement of statements) await statement.execute(db);
  await fill(db);
}

/** Locks the users it looks at against being renamed or deleted meanwhile. */
async function fill(db: Db): Promise<void> {
  for (let after = 0; ;) {
    const { rows } = await sql<{ last: number | null }>`
      with slice as materialized (
        select id, username, full_name from users where id > ${after} order by id limit ${AT_ONCE} for share
      ),
      written as (
        insert into search_names (key, user_id)
        select key, id from slice cross join lateral search_keys(username, full_name) key on conflict do nothing
      )
      select max(id) as last from slice
    `.execute(db);
    const last = rows[0]?.last ?? null;
    if (last === null) return;
    after = last;
  }
}
