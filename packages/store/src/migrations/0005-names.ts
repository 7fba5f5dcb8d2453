import { sql } from "kysely";
import type { Db } from "../database.ts";

const AT_ONCE = 5_000;

/**
 * One table of everything that somebody can be found by, so that no name is another's e-mail address or phone
 * number. A trigger keeps it, whatever version of a listener writes `users`. Accounts that are there already:
 * where two have the same, one whose user name it is, or else its e-mail address, is found by it; the other
 * keeps what else it has.
 */
export async function up(db: Db): Promise<void> {
  await sql`create table if not exists names (key text primary key, user_id bigint not null)`.execute(db);
  await sql`
    create or replace function keep_names() returns trigger language plpgsql as $$
    declare
      wanted text;
      owner bigint;
    begin
      if tg_op <> 'INSERT' then
        delete from names where key in (old.username_key, old.email_key, old.phone_key) and user_id = old.id;
      end if;
      if tg_op = 'DELETE' then
        return null;
      end if;
      -- In one order, so that two that want the same never wait for each other in a circle.
      for wanted in
        select distinct key from unnest(array[new.username_key, new.email_key, new.phone_key]) key where key is not null order by key
      loop
        insert into names (key, user_id) values (wanted, new.id) on conflict (key) do nothing;
        select user_id into owner from names where key = wanted;
        if owner is distinct from new.id then
          raise unique_violation using constraint = case wanted
            when new.username_key then 'users_username_key_key'
            when new.email_key then 'users_email_key_key'
            else 'users_phone_key_key'
          end, message = 'a name is taken';
        end if;
      end loop;
      return null;
    end $$
  `.execute(db);
  await sql`
    create or replace trigger users_names after insert or update of username_key, email_key, phone_key or delete on users
    for each row execute function keep_names()
  `.execute(db);
  // As they were looked up: a user name before an e-mail address, and that before a phone number.
  for (const column of ["username_key", "email_key", "phone_key"]) await fill(db, column);
}

/** Locks the users it looks at against being deleted meanwhile. */
async function fill(db: Db, column: string): Promise<void> {
  for (let after = 0; ;) {
    const { rows } = await sql<{ last: number | null }>`
      with slice as materialized (
        select id, ${sql.ref(column)} as key from users where id > ${after} order by id limit ${AT_ONCE} for key share
      ),
      written as (
        insert into names (key, user_id) select key, id from slice where key is not null order by key on conflict (key) do nothing
      )
      select max(id) as last from slice
    `.execute(db);
    const last = rows[0]?.last ?? null;
    if (last === null) return;
    after = last;
  }
}
