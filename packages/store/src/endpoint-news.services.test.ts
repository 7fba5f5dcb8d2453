import { randomUUID } from "node:crypto";
import { createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { type Progress, recordProgress } from "./deliveries.ts";
import { type EndpointNews, tellOwners } from "./endpoint-news.ts";
import { GONE, isGoneForOthers } from "./gone-addresses.ts";
import { prune } from "./maintenance.ts";
import { takeUnreported, noteProviderId, createNotification, type NewNotification, reportNotification } from "./notifications.ts";
import { type OperatorDigest, tellOperator } from "./operator-news.ts";
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

const tell = async (tellsOperator = false): Promise<number> => {
  const describeNews = (news: EndpointNews) => {
    told.push(news);
    return { eventId: randomUUID(), data: Buffer.from(JSON.stringify(news)) };
  };
  const { told: covered } = await tellOwners(store.db, 10, describeNews, tellsOperator);
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

const newNotification = (more: Partial<NewNotification> = {}): NewNotification => ({
  id: randomUUID(),
  userId: 0,
  type: "email",
  purpose: "sent",
  address: "mailto:ada@example.org",
  recipient: Buffer.from("r"),
  data: Buffer.from("d"),
  provider: "smtp",
  sendAt: null,
  sealSecret: () => Buffer.from("s"),
  request: null,
  ...more,
});

describe("an address that answered 410 Gone", () => {
  it("is remembered for a day, for all other inboxes", async () => {
    const [one, other] = [await endpointOf(), await endpointOf()];
    const address = "http://receiver.example";
    const forEach = () => Promise.all([one, other].map(({ inbox }) => isGoneForOthers(store.db, inbox, address)));
    await record(one.id, { off: "something else" });
    await tell();
    expect(await forEach()).toEqual([false, false]);
    await sql`update endpoints set state = 'active' where id = ${one.id}`.execute(store.db);
    await record(one.id, { off: GONE });
    await tell();
    expect(await forEach()).toEqual([false, true]);
    await sql`update gone_addresses set until = now() - interval '1 second'`.execute(store.db);
    expect(await forEach()).toEqual([false, false]);
    await prune(store.db, 30);
    expect((await sql`select from gone_addresses`.execute(store.db)).rows).toEqual([]);
  });
});

describe("what a provider took and said nothing of", () => {
  it("is asked for by when it was sent, however long before it was asked to be", async () => {
    const made = newNotification({ type: "sms", address: "sms:+4930123456", sendAt: new Date(Date.now() - 1_000) });
    await createNotification(store.db, made);
    await noteProviderId(store.db, made.id, "SM1");
    await sql`update notifications set created_at = now() - interval '12 days', send_at = now() - interval '2 days'`.execute(
      store.db,
    );
    expect(await takeUnreported(store.db, 10)).toHaveLength(1);
  });

  it("is asked for after a day, once a day, until it has said something", async () => {
    const made = newNotification({ type: "sms", address: "sms:+4930123456" });
    await createNotification(store.db, made);
    await noteProviderId(store.db, made.id, "SM1");
    const taken = async () => (await takeUnreported(store.db, 10)).map(({ address, providerId }) => [address, providerId]);
    expect(await taken()).toEqual([]);
    const age = (hours: number) =>
      sql`update notifications set created_at = now() - ${hours} * interval '1 hour', asked_at = asked_at - interval '25 hours'`.execute(
        store.db,
      );
    await age(25);
    expect([await taken(), await taken()]).toEqual([[["sms:+4930123456", "SM1"]], []]);
    await age(50);
    expect(await taken()).toHaveLength(1);
    await age(75);
    await reportNotification(store.db, made.id, "delivered", null);
    expect(await taken()).toEqual([]);
  });
});

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

  it("and the operator, of several at once, and once an hour", async () => {
    const digests: OperatorDigest[] = [];
    const digest = () =>
      tellOperator(store.db, (news) => {
        digests.push(news);
        return newNotification({ purpose: "operator", address: "mailto:ops@example.org" });
      });
    expect(await digest()).toBeNull();
    const [one, other] = [await endpointOf(), await endpointOf()];
    for (const { id } of [one, other]) await record(id, { off: "gone" });
    await record(one.id, { deadLetters: [{ seq: 1, reason: "answered 422 3 times" }] });
    await tell(true);
    expect((await Promise.all([digest(), digest(), digest()])).filter((made) => made !== null)).toMatchObject([
      { status: "made" },
    ]);
    expect(digests).toMatchObject([
      {
        counts: expect.arrayContaining([
          { kind: "endpoint.disabled", count: 2 },
          { kind: "dead_letter.created", count: 1 },
        ]),
      },
    ]);
    const third = await endpointOf();
    await record(third.id, { off: "gone" });
    await tell(true);
    expect(await digest()).toBeNull();
    await prune(store.db, 30); // what it was told is no deleted account's
    await sql`update notifications set created_at = now() - interval '61 minutes'`.execute(store.db);
    expect(await digest()).toMatchObject({ status: "made" });
    expect(digests[1]).toMatchObject({ counts: [{ kind: "endpoint.disabled", count: 1 }] });
    const { rows } = await sql<{ purpose: string }>`select purpose from notifications`.execute(store.db);
    expect(rows).toEqual([{ purpose: "operator" }, { purpose: "operator" }]);
  });

  it("and the operator, later, where nothing is sent to the operator's address now", async () => {
    const address = "mailto:ops@example.org";
    await createNotification(store.db, newNotification({ address }));
    await sql`update endpoints set state = 'off', reason = '550', failing_since = now() where address = ${address}`.execute(
      store.db,
    );
    const { id } = await endpointOf();
    await record(id, { off: "gone" });
    await tell(true);
    const digest = () => tellOperator(store.db, () => newNotification({ purpose: "operator", address }));
    await expect(digest()).rejects.toThrow("550");
    await sql`update endpoints set state = 'active' where address = ${address}`.execute(store.db);
    expect(await digest()).toMatchObject({ status: "made" });
    await sql`insert into operator_news (kind, endpoint_id, at) values ('endpoint.disabled', 1, now() - interval '8 days')`.execute(
      store.db,
    );
    await prune(store.db, 30);
    expect((await sql`select from operator_news`.execute(store.db)).rows).toEqual([]);
  });

  it("beside one another: two senders make one event", async () => {
    const { id, inbox } = await endpointOf();
    await record(id, { off: "gone" });
    await Promise.all([tell(), tell(), tell()]);
    expect(await kindsIn(inbox)).toEqual(["message.created", "endpoint.disabled"]);
  });
});
