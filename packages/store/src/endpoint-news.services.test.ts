import { randomUUID } from "node:crypto";
import { createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { type Progress, recordProgress } from "./deliveries.ts";
import { type EndpointNews, tellOwners } from "./endpoint-news.ts";
import { progressOf } from "./progress-of-tests.ts";
import { openStore, type Store } from "./open-store.ts";

let database: TestDatabase;
let store: Store;
let told: EndpointNews[];

beforeEach(async () => {
  database = await createTestDatabase(inject("databaseUrl"));
  store = await openStore({ url: database.url });
  told = [];
});
afterEach(async () => {
  await store.close();
  await database.drop();
});

const tell = async (): Promise<number> => {
  const { told: covered } = await tellOwners(store.db, 10, (news) => {
    told.push(news);
    return { eventId: randomUUID(), data: Buffer.from(JSON.stringify(news)) };
  });
  return covered.length;
};

/** An endpoint in an inbox that has one event of this kind; of a user, unless it is an address. */
async function endpointOf(options: { kind?: string; address?: string } = {}): Promise<{ id: number; inbox: number }> {
  const { kind = "message.created", address } = options;
  const { rows } = await sql<{ id: number; inbox: number }>`
    with u as (
      insert into users (username, username_key, password_hash)
      select n, n, '-' from (values (${randomUUID()}::text)) t (n) where ${address === undefined}::boolean returning id
    ),
    b as (insert into inboxes (user_id, address, head) values ((select id from u), ${address ?? null}, 1) returning id),
    v as (insert into events (inbox_id, seq, id, kind) select id, 1, ${randomUUID()}::uuid, ${kind}::text from b),
    e as (
      insert into endpoints (inbox_id, address, kinds, secret) select id, 'http://receiver.example', '{*}', ''::bytea from b returning id, inbox_id
    )
    select id, inbox_id as inbox from e
  `.execute(store.db);
  return rows[0] as { id: number; inbox: number };
}

const record = (endpoint: number, more: Partial<Progress>) =>
  recordProgress(store.db, "a test", [progressOf({ id: endpoint, generation: 0 }, 1, more)]);

async function kindsIn(inbox: number): Promise<readonly string[]> {
  const { rows } = await sql<{ kind: string }>`select kind from events where inbox_id = ${inbox} order by seq`.execute(store.db);
  return rows.map(({ kind }) => kind);
}

describe("owners of endpoints are told, once", () => {
  it("of one that was switched off", async () => {
    const { id, inbox } = await endpointOf();
    await record(id, { off: "the address answered 410 Gone" });
    expect([await tell(), await tell()]).toEqual([1, 0]);
    await record(id, { off: "the address answered 410 Gone" }); // its first answer was lost
    expect(await tell()).toBe(0);
    expect(told).toEqual([{ kind: "endpoint.disabled", endpoint: id, reason: "the address answered 410 Gone" }]);
    expect(await kindsIn(inbox)).toEqual(["message.created", "endpoint.disabled"]);
  });

  it("of a dead letter, and again where it is one again", async () => {
    const { id } = await endpointOf();
    const letter = { deadLetters: [{ seq: 1, reason: "answered 422 3 times" }] };
    await record(id, letter);
    expect([await tell(), await tell()]).toEqual([1, 0]);
    await record(id, letter); // its first answer was lost
    expect(await tell()).toBe(0);
    await sql`update dead_letters set asked = true where endpoint_id = ${id}`.execute(store.db);
    expect(told).toMatchObject([{ kind: "dead_letter.created", endpoint: id, seq: 1, reason: "answered 422 3 times" }]);
    await record(id, letter);
    expect(await tell()).toBe(1);
  });

  it("a day before one is disabled, and again for another row of failures", async () => {
    const { id } = await endpointOf();
    const fail = (days: number) =>
      sql`update endpoints set failures = 9, failing_since = now() - ${days} * interval '1 day' where id = ${id}`.execute(
        store.db,
      );
    await fail(3.9);
    expect(await tell()).toBe(0);
    await fail(4.1);
    expect([await tell(), await tell()]).toEqual([1, 0]);
    expect(told).toMatchObject([{ kind: "endpoint.failing", endpoint: id }]);
    await fail(4.5);
    expect(await tell()).toBe(1);
  });

  it.each(["dead_letter.created", "endpoint.disabled"])(
    "but not of a dead letter of %s, which would make another one",
    async (kind) => {
      const { id } = await endpointOf({ kind });
      await record(id, { deadLetters: [{ seq: 1, reason: "answered 422 3 times" }] });
      expect(await tell()).toBe(0);
    },
  );

  it("and nobody of addresses that are no user's", async () => {
    const { id, inbox } = await endpointOf({ address: "mailto:ada@example.org" });
    await record(id, { off: "gone", deadLetters: [{ seq: 1, reason: "550" }] });
    expect(await tell()).toBe(0);
    expect(await kindsIn(inbox)).toEqual(["message.created"]);
  });

  it("beside one another: two senders make one event", async () => {
    const { id, inbox } = await endpointOf();
    await record(id, { off: "gone" });
    await Promise.all([tell(), tell(), tell()]);
    expect(await kindsIn(inbox)).toEqual(["message.created", "endpoint.disabled"]);
  });
});
