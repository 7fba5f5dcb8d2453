import { expireConversations, expireMessages } from "@messenger/store";
import { type Answer, http, type Person, register, sendSurely } from "@messenger/testkit";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newPart, openListener } from "./deployments.ts";

const DAY_MS = 24 * 60 * 60_000;

describe("messages that are kept for some days", () => {
  let part: Awaited<ReturnType<typeof newPart>>;
  let base: string;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    part = await newPart();
    base = (await openListener(part)).url;
  });
  afterAll(() => part.closing.closeAll());
  beforeEach(async () => {
    ada = await register(base);
    bob = await register(base);
  });

  const call = (method: string, path: string, { token }: Person, body?: unknown): Promise<Answer> =>
    http(`${base}/api/${path}`, { method, token, ...(body === undefined ? undefined : { body }) });
  /** As if all of them had been sent so many days ago. */
  const age = (ids: readonly string[], days: number): Promise<unknown> =>
    sql`
      update messages set created_at = created_at - ${days} * interval '1 day' where id = any(${ids}::uuid[])
    `.execute(part.database.store.db);
  const conversation = async (by: Person): Promise<{ conversation_id: number; unread: number; keep_days: number | null }> =>
    ((await call("GET", "conversations/", by)).json["conversations"] as never[])[0] as never;
  const texts = async (by: Person): Promise<readonly string[]> =>
    ((await call("GET", "messages/", by)).json["messages"] as { message: string }[]).map(({ message }) => message);

  it("are erased then, in their conversation alone, and do not count as unread", async () => {
    const eve = await register(base);
    const old = [await sendSurely(base, ada, bob, "old"), await sendSurely(base, ada, bob, "older")];
    const elsewhere = await sendSurely(base, ada, eve, "old, too");
    await call("PUT", `messages/${old[0] as string}/reactions/${encodeURIComponent("👍")}/`, bob);
    await call("PATCH", `messages/${old[1] as string}/`, ada, { message: "older, edited" });
    await age([...old, elsewhere], 8);
    await sendSurely(base, ada, bob, "new");
    const { conversation_id: id } = await conversation(bob);
    expect((await call("PUT", `conversations/${id}/retention/`, bob, { keep_days: 7 })).json).toMatchObject({
      conversation: { keep_days: 7, unread: 3 },
    });
    expect(await expireConversations(part.database.store.db)).toBe(2);
    expect(await texts(bob)).toEqual(["new"]);
    expect(await texts(eve)).toEqual(["old, too"]);
    expect(await conversation(bob)).toMatchObject({ unread: 1, keep_days: 7 });
    expect((await call("GET", `messages/${old[1] as string}/versions/`, ada)).status).toBe(404);
    const { events } = (await call("GET", "events/?after=0", bob)).json as { events: Record<string, unknown>[] };
    expect(events.map(({ type, message }) => [type, message])).toEqual([
      ["message.created", undefined],
      ["message.created", undefined],
      ["reaction.added", undefined],
      ["message.edited", undefined],
      ["message.created", "new"],
      ["conversation.changed", undefined],
    ]);
    const { rows } = await sql`
      select from message_versions where message_id = any(${old}::uuid[]) union all select from reactions where message_id = any(${old}::uuid[])
    `.execute(part.database.store.db);
    expect(rows).toEqual([]);
    expect(await expireConversations(part.database.store.db)).toBe(0);
  });

  it("can be kept for ever again, by either of two, and in a group by who manages it", async () => {
    await sendSurely(base, ada, bob, "hello");
    const { conversation_id: id } = await conversation(ada);
    for (const [by, days] of [
      [ada, 7],
      [bob, null],
    ] as const) {
      expect((await call("PUT", `conversations/${id}/retention/`, by, { keep_days: days })).json).toMatchObject({
        conversation: { keep_days: days },
      });
    }
    for (const keep_days of [0, -1, 1.5, 4_000, "7"]) {
      expect([keep_days, (await call("PUT", `conversations/${id}/retention/`, ada, { keep_days })).status]).toEqual([
        keep_days,
        400,
      ]);
    }
    const made = await call("POST", "conversations/", ada, { title: "Engines", member_ids: [bob.id] });
    const { conversation_id: group } = made.json["conversation"] as { conversation_id: number };
    expect((await call("PUT", `conversations/${group}/retention/`, bob, { keep_days: 7 })).status).toBe(403);
    expect((await call("PUT", `conversations/${group}/retention/`, ada, { keep_days: 7 })).status).toBe(200);
    const eve = await register(base);
    expect((await call("PUT", `conversations/${group}/retention/`, eve, { keep_days: 7 })).status).toBe(404);
  });

  it("are erased everywhere, in slices, where the deployment keeps them for some days", async () => {
    const { db } = part.database.store;
    await sendSurely(base, ada, bob, "of today");
    const { conversation_id: id } = await conversation(ada);
    const at = Date.now() - 40 * DAY_MS;
    const COUNT = 2_500;
    await sql`
      insert into messages (id, conversation_id, sender_id, content, sent_at, created_at)
      select (lpad(to_hex(${at}::bigint + n), 12, '0') || '7abc8def' || lpad(to_hex(n), 12, '0'))::uuid, ${id}, ${ada.id}, decode('00', 'hex'), now(),
        now() - interval '40 days' + n * interval '1 millisecond' from generate_series(1, ${COUNT}::integer) n
    `.execute(db);
    expect(await expireMessages(db, Date.now() - 41 * DAY_MS)).toBe(0);
    expect(await expireMessages(db, Date.now() - 39 * DAY_MS)).toBe(COUNT);
    expect(await texts(bob)).toEqual(["of today"]);
    expect(await conversation(bob)).toMatchObject({ unread: 1 });
    expect(await expireMessages(db, Date.now() - 39 * DAY_MS)).toBe(0);
  });
});
