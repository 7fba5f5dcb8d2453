import { createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, inject, it } from "vitest";
import { repair } from "./deliveries.ts";
import { openStore, type Store } from "./open-store.ts";

const INBOXES = 20_000;

let database: TestDatabase;
let store: Store;

beforeEach(async () => {
  database = await createTestDatabase(inject("databaseUrl"));
  store = await openStore({ url: database.url, statementTimeoutMs: 5_000 });
});
afterEach(async () => {
  await store.close();
  await database.drop();
});

/**
 * The planner knows nothing of the rows then but how many there are: it takes columns that can be null for
 * ones that hardly ever are.
 */
it("repairs many inboxes, a bit at a time, on a database that was never analyzed", { timeout: 60_000 }, async () => {
  const { db } = store;
  for (const table of ["inboxes", "endpoints"]) {
    await sql`alter table ${sql.table(table)} set (autovacuum_enabled = off)`.execute(db);
  }
  await sql`
    insert into users (username, username_key, password_hash) select 'u' || n, 'u' || n, '-' from generate_series(1, ${INBOXES}::integer) n
  `.execute(db);
  await sql`insert into inboxes (user_id, head) select id, id % 2 from users`.execute(db);
  await sql`
    insert into endpoints (inbox_id, address, kinds, secret) select id, 'http://receiver.example', '{message.created}', ''::bytea from inboxes
  `.execute(db);
  expect(await repair(db, { partitions: [0, 1, 2, 3], of: 4 })).toBe(INBOXES / 2);
  const { rows } = await sql<{ due: number }>`
    select count(*)::integer as due from endpoints n join inboxes b on b.id = n.inbox_id where n.retry_at is not null and b.head = 1
  `.execute(db);
  expect(rows).toEqual([{ due: INBOXES / 2 }]);
});
