import { createEmptyDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, inject, it } from "vitest";
import { steps } from "./migrations/index.ts";
import { openStore } from "./open-store.ts";
import { agree, migrate, StoreMismatch } from "./schema.ts";
import { createUser, findCredentials } from "./users.ts";

const AGREEMENT = { partitions: 4, keyChecks: { current: "a", known: ["a"] } };

let database: TestDatabase;
beforeEach(async () => {
  database = await createEmptyDatabase(inject("databaseUrl"));
});
afterEach(() => database.drop());

/** The schema as a version left it that knew only these steps. */
async function asLeftBy(names: readonly string[]): Promise<void> {
  const { db } = database.store;
  await sql`create table kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)`.execute(db);
  for (const name of names) {
    await steps[name]?.up(db);
    await sql`insert into kysely_migration values (${name}, 'then')`.execute(db);
  }
}

it.each([[["0001-initial"]], [["0001-initial", "0002-endpoints-off"]]])(
  "brings up a database with accounts from %j",
  async (names) => {
    const { db } = database.store;
    await asLeftBy(names);
    await sql`
    insert into users (username, username_key, phone_number, phone_key, password_hash) values
      ('bob', 'bob', '07700 900123', '07700 900123', 'h'), ('07700 900123', '07700 900123', '1-2-3-4-5', '1-2-3-4-5', 'h')
  `.execute(db);
    await sql`insert into inboxes (user_id) select id from users`.execute(db);
    await sql`
    insert into endpoints (inbox_id, address, kinds, secret, failures, rejected_before) select id, 'http://a/', '{message.created}', '\\x00', 3, true from inboxes
  `.execute(db);
    expect(await migrate(db)).toEqual(Object.keys(steps).filter((name) => !names.includes(name)));
    expect(await migrate(db)).toEqual([]);
    await agree(db, AGREEMENT);
    // Of two that have the same, the one whose user name it is is found by it; the other one signs in by what else they have.
    const none = { usernameKey: null, emailKey: null, phoneKey: null };
    const [byShared, byOwn] = [
      await findCredentials(db, { ...none, usernameKey: "07700 900123", phoneKey: "07700 900123" }),
      await findCredentials(db, { ...none, usernameKey: "bob" }),
    ];
    expect([byShared?.name, byOwn?.name]).toEqual(["07700 900123", "bob"]);
  },
);

it("lets an older version go on beside steps that it does not know, but not beside one that breaks it", async () => {
  const { db } = database.store;
  await migrate(db);
  await sql`insert into schema_steps (name) values ('9998-later')`.execute(db);
  await agree(db, AGREEMENT);
  expect(await migrate(db)).toEqual([]);
  await sql`insert into schema_steps (name) values ('9999-later-breaking')`.execute(db);
  await expect(agree(db, AGREEMENT)).rejects.toThrow(StoreMismatch);
  await expect(migrate(db)).rejects.toThrow(/9999-later-breaking/u);
  const left = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  expect(left.rows.map(({ name }) => name)).toEqual(["0001-initial", "0002-endpoints-off"]); // all that the first version knows
});

it("says what to do where the schema lacks a step", async () => {
  await asLeftBy(["0001-initial"]);
  await expect(agree(database.store.db, AGREEMENT)).rejects.toThrow(/0002-endpoints-off.*messenger migrate/u);
});

it("runs each step once where several processes migrate at the same time", async () => {
  const stores = await Promise.all(Array.from({ length: 3 }, () => openStore({ url: database.url, maxConnections: 2 })));
  const ran = await Promise.all(stores.map((store) => migrate(store.db)));
  expect(ran.flat().sort()).toEqual(Object.keys(steps));
  await Promise.all(stores.map((store) => store.close()));
});

it("waits for a lock for a moment only, again and again, so that it holds up nobody who comes after it", async () => {
  const { db } = database.store;
  await asLeftBy(["0001-initial", "0002-endpoints-off"]);
  const migrating = await openStore({ url: database.url, statementTimeoutMs: 0, lockTimeoutMs: 200 });
  const held = Promise.withResolvers<void>();
  const free = Promise.withResolvers<void>();
  const holding = db.transaction().execute(async (tx) => {
    await sql`lock table endpoints in row exclusive mode`.execute(tx);
    held.resolve();
    await free.promise;
  });
  await held.promise;
  const done = migrate(migrating.db);
  // Whoever writes meanwhile waits behind the migration for a fraction of a second, not for the transaction before it.
  for (let n = 0; n < 5; n += 1) {
    const startedAt = performance.now();
    await createUser(db, {
      username: `u${n}`,
      usernameKey: `u${n}`,
      phoneNumber: null,
      phoneKey: null,
      email: null,
      emailKey: null,
      fullName: null,
      passwordHash: "h",
    });
    await sql`update endpoints set failures = failures`.execute(db);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  }
  free.resolve();
  await holding;
  expect(await done).toHaveLength(Object.keys(steps).length - 2);
  await migrating.close();
});
