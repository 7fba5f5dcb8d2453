import {
  type Answer,
  http,
  logIn,
  messageBody,
  openEventStream,
  type Person,
  register,
  sendSurely,
  waitFor,
} from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

interface Event {
  seq: number;
  type: string;
  message_id: string;
  message?: string;
  version?: number;
  user_id?: number;
}

describe.each(deployments)("edits, deletions and receipts, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    [ada, bob] = [await register(base), await register(base)];
  });

  const call = (method: string, path: string, by: Person, body?: unknown): Promise<Answer> =>
    http(`${other}/api/${path}`, { method, body, token: by.token });
  const edit = (id: string, message: string, by = ada) => call("PATCH", `messages/${id}`, by, { message });
  const eventsOf = async (person: Person): Promise<Event[]> =>
    (await call("GET", "events?after=0", person)).json["events"] as Event[];
  const history = async (person: Person): Promise<unknown[]> => {
    const [conversation] = (await call("GET", "conversations", person)).json["conversations"] as { conversation_id: number }[];
    if (conversation === undefined) return [];
    const { json } = await call("GET", `conversations/${conversation.conversation_id}/messages`, person);
    return (json["messages"] as { message: string }[]).map(({ message }) => message);
  };

  it.each(["PUT", "PATCH"])("a message is edited by %s, and each version stays to be read", async (method) => {
    const id = await sendSurely(base, ada, bob, "first");
    const edited = await call(method, `messages/${id}/`, ada, { message: "second" });
    expect(edited).toMatchObject({ status: 200, json: { message_id: id, message: "second", version: 2, sender_id: ada.id } });
    await edit(id, "third");
    expect((await call("GET", `messages/${id}`, bob)).json).toMatchObject({ message: "third", version: 3 });
    const { versions } = (await call("GET", `messages/${id}/versions/`, bob)).json as { versions: object[] };
    expect(versions).toMatchObject([
      { version: 1, message: "first" },
      { version: 2, message: "second" },
      { version: 3, message: "third" },
    ]);
    expect(await history(bob)).toEqual(["third"]);
  });

  it("events say what each version said, in both inboxes, however late they are read", async () => {
    const id = await sendSurely(base, ada, bob, "first");
    await edit(id, "second");
    await edit(id, "third");
    const told = [
      ["message.created", "first", 1],
      ["message.edited", "second", 2],
      ["message.edited", "third", 3],
    ];
    const said = (events: Event[]) => events.map(({ type, message, version }) => [type, message, version]);
    expect(said(await eventsOf(bob))).toEqual(told);
    expect(said(await eventsOf(ada))).toEqual(told.slice(1));
    expect((await eventsOf(bob)).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  it("a deleted message is gone from every list, version and event, and what it was is told to nobody", async () => {
    const [first, second] = [await sendSurely(base, ada, bob, "stays"), await sendSurely(base, ada, bob, "secret")];
    await edit(second, "still secret");
    const deleted = await call("DELETE", `messages/${second}`, ada);
    expect([deleted.status, deleted.text]).toEqual([204, ""]);
    for (const person of [ada, bob]) {
      for (const path of [`messages/${second}`, `messages/${second}/versions`]) {
        expect(await call("GET", path, person)).toMatchObject({ status: 404, json: { code: "no_such_message" } });
      }
      expect(await history(person)).toEqual(["stays"]);
      expect((await call("GET", "events?after=0", person)).text).not.toContain("secret");
    }
    expect((await eventsOf(bob)).map(({ type, message_id }) => [type, message_id])).toEqual([
      ["message.created", first],
      ["message.created", second],
      ["message.edited", second],
      ["message.deleted", second],
    ]);
    expect((await call("DELETE", `messages/${second}`, ada)).status).toBe(204); // a repeat, whose first answer was lost
    expect(await call("DELETE", `messages/${second}`, bob)).toMatchObject({ status: 404 });
    expect(await edit(second, "back")).toMatchObject({ status: 404, json: { code: "no_such_message" } });
    expect(await eventsOf(bob)).toHaveLength(4);
  });

  it("an edit that changes nothing, as a repeat is, makes no version and no event", async () => {
    const id = await sendSurely(base, ada, bob, "first");
    for (let n = 0; n < 3; n += 1) {
      expect((await call("PUT", `messages/${id}`, ada, { message: "second" })).json).toMatchObject({ version: 2 });
    }
    expect(await eventsOf(bob)).toHaveLength(2);
  });

  it("a conversation whose only message was deleted is in no list, and cannot be marked as read by it", async () => {
    const id = await sendSurely(base, ada, bob);
    const [{ conversation_id }] = (await call("GET", "conversations", bob)).json["conversations"] as [
      { conversation_id: number },
    ];
    await call("DELETE", `messages/${id}`, ada);
    expect((await call("GET", "conversations", bob)).json["conversations"]).toEqual([]);
    const marked = await call("POST", `conversations/${conversation_id}/read`, bob, { message_id: id });
    expect(marked.status).toBe(404);
    expect((await eventsOf(bob)).map(({ type }) => type)).toEqual(["message.created", "message.deleted"]);
  });

  it("is for the one who sent it: nobody else edits or deletes it, and strangers do not learn that it is there", async () => {
    const eve = await register(base);
    const id = await sendSurely(base, ada, bob, "ada's");
    for (const [person, refused] of [
      [bob, { status: 403, json: { code: "forbidden" } }],
      [eve, { status: 404, json: { code: "no_such_message" } }],
    ] as const) {
      expect(await edit(id, "not ada's", person)).toMatchObject(refused);
      expect(await call("DELETE", `messages/${id}`, person)).toMatchObject(refused);
    }
    expect(await call("GET", `messages/${id}/versions`, eve)).toMatchObject({ status: 404 });
    expect(await history(bob)).toEqual(["ada's"]);
    expect(await eventsOf(bob)).toHaveLength(1);
  });

  it("a repeat under the same key gets the first answer after an edit, and after a deletion", async () => {
    const key = { "idempotency-key": `key-${ada.id}` };
    const post = (text: string) =>
      http(`${base}/api/messages/`, {
        body: messageBody(ada, bob, text),
        token: ada.token,
        accept: "application/json",
        headers: key,
      });
    const first = await post("once");
    const id = first.json["message_id"] as string;
    await edit(id, "twice");
    expect((await post("once")).json).toEqual(first.json);
    expect((await post("twice")).status).toBe(422);
    await call("DELETE", `messages/${id}`, ada);
    expect((await post("once")).json).toEqual(first.json);
  });

  it(
    "refuses what is too long, empty, no text, or one field too many, and more than a hundred versions",
    { timeout: 60_000 },
    async () => {
      const id = await sendSurely(base, ada, bob);
      expect(await edit(id, "x".repeat(4097))).toMatchObject({ status: 413, json: { code: "too_large" } });
      for (const body of [{}, { message: "" }, { message: 1 }, { message: "a", version: 2 }]) {
        expect(await call("PATCH", `messages/${id}`, ada, body)).toMatchObject({
          status: 400,
          json: { code: "validation_error" },
        });
      }
      for (let version = 2; version <= 100; version += 1) expect((await edit(id, `version ${version}`)).status).toBe(200);
      expect(await edit(id, "version 101")).toMatchObject({ status: 409, json: { code: "too_many_versions" } });
      expect((await call("GET", `messages/${id}`, ada)).json).toMatchObject({ message: "version 100" });
    },
  );

  it("many at once leave one history, and no gap in any inbox", async () => {
    const ids = await Promise.all([sendSurely(base, ada, bob), sendSurely(base, ada, bob), sendSurely(base, ada, bob)]);
    await Promise.all([
      ...ids.flatMap((id) => Array.from({ length: 8 }, (_, n) => edit(id, `edit ${n}`))),
      ...Array.from({ length: 8 }, () => sendSurely(base, bob, ada)),
      call("DELETE", `messages/${ids[0]}`, ada),
    ]);
    for (const person of [ada, bob]) {
      const seqs = (await eventsOf(person)).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_, n) => n + 1));
    }
    const ofSecond = (await eventsOf(bob)).filter(({ message_id }) => message_id === ids[1]);
    expect(ofSecond.map(({ version }) => version)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("come by a stream at once, a read marker too, once, to the other one and to one's own other sessions", async () => {
    const id = await sendSurely(base, ada, bob, "first");
    const second = await logIn(base, bob, "http://127.0.0.1:9/");
    const streams = [ada, second].map(({ token }) => openEventStream(`${base}/api/events/stream`, token));
    const [adas, bobs] = await Promise.all(streams as [(typeof streams)[0], (typeof streams)[0]]);
    const [{ conversation_id: conversation }] = (await call("GET", "conversations", bob)).json["conversations"] as [
      { conversation_id: number },
    ];
    for (let n = 0; n < 2; n += 1) await call("POST", `conversations/${conversation}/read`, bob, { message_id: id });
    await edit(id, "second");
    for (const stream of [adas, bobs]) {
      const logged = () => stream.arrived.filter(({ id: seq }) => seq !== undefined); // that somebody is there is in no log
      await waitFor(() => logged().length >= 2, { what: "both to arrive" });
      expect(logged().map(({ data }) => data)).toMatchObject([
        { type: "receipt.read", message_id: id, user_id: bob.id, conversation_id: conversation },
        { type: "message.edited", message_id: id, message: "second", version: 2 },
      ]);
      stream.close();
    }
  });
});
