import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { prune } from "./maintenance.ts";
import { openStore, type Store } from "./open-store.ts";
import { blockUser, foldName, listBlocks, searchUsers, unblockUser } from "./people.ts";
import { migrate } from "./schema.ts";
import { deleteUser } from "./users.ts";

let database: TestDatabase;
let store: Store;

beforeEach(async () => {
  database = await createTestDatabase(inject("databaseUrl"));
  store = await openStore({ url: database.url });
  await sql`insert into users (username, username_key, password_hash) select n, n, '-' from generate_series(1, 1002) n`.execute(
    store.db,
  );
  await sql`insert into inboxes (user_id) select id from users`.execute(store.db);
});
afterEach(async () => {
  await store.close();
  await database.drop();
});

const hasBlocks = async (userId: number): Promise<unknown> =>
  (await sql<{ has: boolean }>`select has_blocks as has from inboxes where user_id = ${userId}`.execute(store.db)).rows[0]?.has;

it("a database that takes bytes as they come has users who are found, by the case that it knows", async () => {
  const ascii = await createEmptyDatabase(inject("databaseUrl"), "SQL_ASCII");
  try {
    const { db } = ascii.store;
    await migrate(db);
    await sql`insert into users (username, username_key, full_name, password_hash) values ('zoë', 'zoë', 'Zoë Ångström', '-'), ('x', 'x', null, '-')`.execute(
      db,
    );
    const search = async (name: string) => {
      const prefix = await foldName(db, name);
      return (await searchUsers(db, 2, { prefix, emailKey: null, phoneKey: null })).map(({ username }) => username);
    };
    expect([await search("ZO"), await search("zoë å"), await search("Zoë Å"), await search("zoe")]).toEqual([
      ["zoë"],
      [],
      ["zoë"],
      [],
    ]);
  } finally {
    await ascii.drop();
  }
});

describe("a user", () => {
  it("blocks a thousand at most", async () => {
    await sql`insert into blocks (user_id, blocked_id) select 1, n from generate_series(2, 1000) n`.execute(store.db);
    expect(await blockUser(store.db, 1, 1001)).toBe("blocked");
    expect(await blockUser(store.db, 1, 1002)).toBe("full");
    expect(await blockUser(store.db, 1, 1001)).toBe("blocked");
    expect(await blockUser(store.db, 1, 2 ** 40)).toBe("no-user");
    expect(await listBlocks(store.db, 1)).toHaveLength(1000);
  });

  it("is looked at as one who blocks for as long as they do", async () => {
    expect(await hasBlocks(1)).toBe(false);
    await blockUser(store.db, 1, 2);
    expect(await hasBlocks(1)).toBe(true);
    await unblockUser(store.db, 1, 2);
    expect(await hasBlocks(1)).toBe(false);
  });

  it("blocks nobody any more whose account ended meanwhile", async () => {
    await deleteUser(store.db, 1, () => ({ eventId: "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f", sealData: () => Buffer.from("") }));
    expect(await blockUser(store.db, 1, 2)).toBe("no-user");
    await sql`insert into blocks (user_id, blocked_id) values (1, 2), (2, 1), (3, 4)`.execute(store.db);
    await prune(store.db, 30);
    expect((await sql`select user_id from blocks`.execute(store.db)).rows).toEqual([{ user_id: 3 }]);
  });

  it("leaves no authenticator where an older version deleted the account", async () => {
    await sql`insert into totp (user_id, secret) values (1, ''), (2000, '')`.execute(store.db);
    await sql`insert into recovery_codes (user_id, hash) values (1, 'a'), (2000, 'b')`.execute(store.db);
    await prune(store.db, 30);
    expect((await sql`select user_id from totp`.execute(store.db)).rows).toEqual([{ user_id: 1 }]);
    expect((await sql`select user_id from recovery_codes`.execute(store.db)).rows).toEqual([{ user_id: 1 }]);
  });

  it("is found by an index, however many there are", async () => {
    await sql`insert into search_names (key, user_id) select 'zz' || md5(n::text), n + 10000 from generate_series(1, 20000) n`.execute(
      store.db,
    );
    await sql`analyze search_names`.execute(store.db);
    const explained = await sql<{ "QUERY PLAN": string }>`
      explain select key from search_names where key ~>=~ 'zzab' and key ~<~ ${"zzab\u{10FFFF}"} order by key using ~<~ limit 500
    `.execute(store.db);
    expect(explained.rows.map((row) => row["QUERY PLAN"]).join("\n")).toMatch(/Index.*search_names_key/u);
  });

  it("that is deleted blocks nobody, is blocked by nobody, and is found by nothing", async () => {
    await blockUser(store.db, 1, 2);
    await blockUser(store.db, 3, 1);
    await deleteUser(store.db, 1, () => ({ eventId: "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f", sealData: () => Buffer.from("") }));
    expect((await sql`select from blocks`.execute(store.db)).rows).toEqual([]);
    expect((await sql`select from search_names where user_id = 1`.execute(store.db)).rows).toEqual([]);
  });
});
