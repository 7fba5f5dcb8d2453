import { loginKeys } from "@messenger/core";
import { createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { openStore, type Store } from "./open-store.ts";
import { findAccountByName } from "./operators.ts";
import { createUser, findCredentials } from "./users.ts";

describe("an account that an operator names", () => {
  let database: TestDatabase;
  let store: Store;

  beforeEach(async () => {
    database = await createTestDatabase(inject("databaseUrl"));
    store = await openStore({ url: database.url });
  });
  afterEach(async () => {
    await store.close();
    await database.drop();
  });

  async function make(more: Partial<Parameters<typeof createUser>[1]>): Promise<number> {
    const none = { username: null, usernameKey: null, phoneNumber: null, phoneKey: null, email: null, emailKey: null };
    const made = await createUser(store.db, { ...none, fullName: null, passwordHash: "-", ...more });
    return (made as { id: number }).id;
  }

  it("is the one that signs in by it: a user name comes before another's phone number", async () => {
    const name = "Call me";
    const { usernameKey, phoneKey } = loginKeys(name);
    expect(usernameKey).not.toBe(phoneKey);
    await make({ username: "mallory", usernameKey: "mallory", phoneNumber: name, phoneKey });
    const id = await make({ username: name, usernameKey });
    expect(await findCredentials(store.db, loginKeys(name))).toMatchObject({ id });
    expect(await findAccountByName(store.db, loginKeys(name))).toMatchObject({ id });
  });

  it("has the sessions that can be used", async () => {
    const id = await make({ username: "ada", usernameKey: "ada" });
    await sql`
      insert into sessions (user_id, refresh_expires_at, revoked_at) values
        (${id}, now() + interval '1 day', null), (${id}, now() - interval '1 day', null), (${id}, null, now())
    `.execute(store.db);
    expect(await findAccountByName(store.db, loginKeys("ada"))).toMatchObject({ sessions: 1 });
  });
});
