import { type Answer, http, logIn, type Person, register, send, sendSurely } from "@messenger/testkit";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

interface Listed {
  conversation_id: number;
  with: { user_id: number } | null;
  last_message: { message: string };
  unread: number;
  read_message_id: string | null;
}

describe.each(deployments)("conversations, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
  });
  afterAll(() => deployment.close());

  const get = (path: string, { token }: Person, url = base): Promise<Answer> => http(`${url}/api${path}`, { token });
  const people = (count: number): Promise<Person[]> => Promise.all(Array.from({ length: count }, () => register(base)));
  const listOf = async (person: Person): Promise<Listed[]> =>
    (await get("/conversations/", person)).json["conversations"] as Listed[];

  /** All pages of a list. */
  async function pages(person: Person, path: string, items: string, limit: number): Promise<Record<string, unknown>[]> {
    const all: Record<string, unknown>[] = [];
    let cursor: string | null = null;
    do {
      const query: string = `limit=${limit}${cursor === null ? "" : `&cursor=${cursor}`}`;
      const answer = await get(`${path}${path.includes("?") ? "&" : "?"}${query}`, person, other);
      expect(answer.status).toBe(200);
      all.push(...(answer.json[items] as Record<string, unknown>[]));
      cursor = answer.json["next_cursor"] as string | null;
    } while (cursor !== null);
    return all;
  }

  it("lists those of a user, the newest message first, page by page, each once", async () => {
    const [ada, ...others] = (await people(6)) as [Person, ...Person[]];
    for (const person of others) await sendSurely(base, person, ada, `of ${person.name}`);
    await sendSurely(other, ada, others[2] as Person, "an answer");
    const expected = [2, 4, 3, 1, 0].map((n) => others[n]?.id);
    for (const limit of [1, 2, 5, 100]) {
      const listed = (await pages(ada, "/conversations/", "conversations", limit)) as unknown as Listed[];
      expect(listed.map((one) => one.with?.user_id)).toEqual(expected);
      expect(listed[0]?.last_message.message).toBe("an answer");
    }
    const [first] = await listOf(ada);
    const one = await get(`/conversations/${first?.conversation_id}`, ada);
    expect(one.json).toEqual({ conversation: first, seq: 5 });
  });

  it("gives the history in both directions, page by page, each message once", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const texts = Array.from({ length: 23 }, (_, n) => `message ${n}`);
    for (const [n, text] of texts.entries()) await sendSurely(base, n % 3 === 0 ? bob : ada, n % 3 === 0 ? ada : bob, text);
    const [{ conversation_id: id }] = (await listOf(ada)) as [Listed];
    for (const limit of [1, 7, 23, 100]) {
      const newest = await pages(bob, `/conversations/${id}/messages/`, "messages", limit);
      expect(newest.map(({ message }) => message)).toEqual(texts.toReversed());
      const oldest = await pages(ada, `/conversations/${id}/messages/?order=oldest`, "messages", limit);
      expect(oldest.map(({ message }) => message)).toEqual(texts);
    }
  });

  it("counts what others wrote after the read marker, which only moves forward", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    const sent: string[] = [];
    for (const [from, to] of [
      [ada, bob],
      [bob, ada],
      [ada, bob],
      [ada, bob],
    ] as const)
      sent.push(await sendSurely(base, from, to));
    const [{ conversation_id: id, unread, read_message_id }] = (await listOf(bob)) as [Listed];
    expect([unread, read_message_id]).toEqual([3, null]);
    const mark = (message_id: string | undefined, person = bob) =>
      http(`${other}/api/conversations/${id}/read/`, { body: { message_id }, token: person.token });
    expect((await mark(sent[2])).json).toEqual({ read_message_id: sent[2], unread: 1 });
    expect((await mark(sent[0])).json).toEqual({ read_message_id: sent[2], unread: 1 });
    expect((await listOf(bob))[0]).toMatchObject({ unread: 1, read_message_id: sent[2] });
    expect((await listOf(ada))[0]).toMatchObject({ unread: 1, read_message_id: null });
    expect((await mark("0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f")).json).toMatchObject({ code: "no_such_message" });
  });

  it("counts no more than a hundred", { timeout: 60_000 }, async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    await Promise.all(Array.from({ length: 103 }, () => sendSurely(base, ada, bob)));
    expect((await listOf(bob))[0]?.unread).toBe(100);
  });

  it("shows them to those who take part, and tells nobody else whether there is one", async () => {
    const [ada, bob, eve] = (await people(3)) as [Person, Person, Person];
    const message = await sendSurely(base, ada, bob);
    const [{ conversation_id: id }] = (await listOf(ada)) as [Listed];
    const none = { status: 404, json: { code: "no_such_conversation" } };
    for (const [person, conversation] of [
      [eve, id],
      [ada, 9_007_199_254_740_991],
    ] as const) {
      expect(await get(`/conversations/${conversation}`, person)).toMatchObject(none);
      expect(await get(`/conversations/${conversation}/messages`, person)).toMatchObject(none);
      const body = { message_id: message };
      expect(await http(`${base}/api/conversations/${conversation}/read`, { body, token: person.token })).toMatchObject(none);
    }
    expect(await listOf(eve)).toEqual([]);
  });

  it("pages over 300 deleted messages in a row, in both directions, and counts none of them as unread", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    await sendSurely(base, ada, bob, "first");
    for (let n = 0; n < 300; n += 20) {
      const sent = await Promise.all(Array.from({ length: 20 }, () => sendSurely(base, ada, bob, "hidden")));
      const deletions = sent.map((id) => http(`${base}/api/messages/${id}`, { method: "DELETE", token: ada.token }));
      for (const { status } of await Promise.all(deletions)) expect(status).toBe(204);
    }
    await sendSurely(base, ada, bob, "last");
    const [listed] = await listOf(bob);
    expect(listed).toMatchObject({ unread: 2, last_message: { message: "last" } });
    const path = `/conversations/${listed?.conversation_id}/messages`;
    for (const limit of [1, 100]) {
      const texts = async (order: string) =>
        (await pages(bob, `${path}?order=${order}`, "messages", limit)).map(({ message }) => message);
      expect(await texts("oldest")).toEqual(["first", "last"]);
      expect(await texts("newest")).toEqual(["last", "first"]);
    }
  });

  it("keeps a conversation whose other one has deleted their account", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    await sendSurely(base, ada, bob, "still there");
    await http(`${base}/api/users/`, { method: "DELETE", body: { user_id: ada.id }, token: ada.token });
    expect((await listOf(bob))[0]).toMatchObject({ with: null, unread: 1, last_message: { message: "still there" } });
  });

  it("refuses what is no cursor, a limit out of bounds, an unknown field", async () => {
    const ada = await register(base);
    const refused = { status: 400, json: { code: "validation_error" } };
    for (const query of ["limit=0", "limit=101", "limit=x", "cursor=", "cursor=abc", `cursor=${"A".repeat(201)}`, "pages=2"]) {
      expect([query, await get(`/conversations/?${query}`, ada)]).toMatchObject([query, refused]);
    }
    const cursor = Buffer.from("1764235800412000 0197f3a2").toString("base64url");
    expect(await get(`/conversations/?cursor=${cursor}`, ada)).toMatchObject(refused);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", minLength: 1, maxLength: 60 }), async (text) => {
        const cursor = Buffer.from(text).toString("base64url");
        const { status } = await get(`/conversations/?cursor=${cursor}`, ada);
        expect([200, 400]).toContain(status);
      }),
      { numRuns: 50 },
    );
  });

  it("names the last event that is in a list", async () => {
    const [ada, bob] = (await people(2)) as [Person, Person];
    await logIn(base, bob, "http://127.0.0.1:9/"); // another session: what bob sends is an event of his own, too
    await send(base, ada, bob);
    await send(base, bob, ada);
    const { seq, conversations } = (await get("/conversations/", bob)).json as { seq: number; conversations: Listed[] };
    expect(seq).toBe(2);
    const id = conversations[0]?.conversation_id;
    expect((await get(`/conversations/${id}/messages`, bob)).json["seq"]).toBe(2);
  });
});
