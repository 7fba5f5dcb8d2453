import {
  type Answer,
  http,
  logIn,
  messageBody,
  type Person,
  register,
  type ScriptedReceiver,
  send,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

interface Listed {
  conversation_id: number;
  is_request: boolean;
  unread: number;
  with: { user_id: number } | null;
}

describe.each(deployments)("requests of strangers, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;
  let receiver: ScriptedReceiver;
  /** Wants to be asked. */
  let bob: Person;
  let ada: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
    receiver = await startScriptedReceiver();
  });
  afterAll(async () => {
    await receiver.close();
    await deployment.close();
  });
  beforeEach(async () => {
    bob = await register(base);
    ada = await register(base);
    await logIn(base, bob, `${receiver.url}/${bob.name}`);
    await ask(true);
  });

  const call = (method: string, path: string, { token }: Person, body?: unknown): Promise<Answer> =>
    http(`${base}/api/${path}`, { method, token, ...(body === undefined ? undefined : { body }) });
  const ask = async (message_requests: boolean): Promise<void> => {
    expect((await call("PATCH", "users/me/", bob, { message_requests })).json).toMatchObject({ message_requests });
  };
  const listed = async (who: Person, query = ""): Promise<readonly Listed[]> =>
    (await call("GET", `conversations/${query}`, who)).json["conversations"] as Listed[];
  const requests = (): Promise<readonly Listed[]> => listed(bob, "?requests=true");
  const requestOf = async (who: Person): Promise<number> =>
    (await requests()).find((one) => one.with?.user_id === who.id)?.conversation_id as number;
  const kinds = async (): Promise<readonly string[]> =>
    ((await call("GET", "events/?after=0", bob)).json["events"] as { type: string }[]).map(({ type }) => type);
  const pushed = (): readonly string[] =>
    receiver.arrivals.filter(({ path }) => path === `/${bob.name}`).map(({ body }) => String(body["message"]));
  const arrived = (count: number): Promise<unknown> =>
    waitFor(() => pushed().length >= count, { what: `${count} pushes to ${bob.name}` });

  it("wait: they are in no list but that of requests, and are not pushed", async () => {
    for (const text of ["one", "two"]) await send(base, ada, bob, text);
    const friend = await register(base);
    await call("POST", "conversations/", bob, { user_id: friend.id });
    await send(base, friend, bob, "from a friend");
    await arrived(1);
    expect(pushed()).toEqual(["from a friend"]);
    expect(await listed(bob)).toMatchObject([{ with: { user_id: friend.id }, is_request: false }]);
    expect(await requests()).toMatchObject([{ with: { user_id: ada.id }, is_request: true, unread: 2 }]);
    expect((await call("GET", "messages/", bob)).json["messages"]).toHaveLength(1);
    expect(await kinds()).toEqual(["message.requested", "message.requested", "message.created"]);
    // The stranger sees nothing of it.
    expect(await listed(ada)).toMatchObject([{ is_request: false }]);
    const { message_id: id } = ((await call("GET", "messages/", ada)).json["messages"] as { message_id: string }[])[0] ?? {};
    expect((await call("GET", `messages/${String(id)}/deliveries/`, ada)).json["deliveries"]).toMatchObject([
      { user_id: bob.id, state: "held", read: false },
    ]);
  });

  it("arrive once they are accepted, in order, and as they are then", async () => {
    for (const text of ["one", "two", "three"]) await send(base, ada, bob, text);
    const mine = (await call("GET", "messages/", ada)).json["messages"] as { message_id: string; message: string }[];
    const idOf = (text: string): string => mine.find(({ message }) => message === text)?.message_id as string;
    await call("PATCH", `messages/${idOf("two")}/`, ada, { message: "two, edited" });
    await call("DELETE", `messages/${idOf("three")}/`, ada);
    expect(pushed()).toEqual([]);
    const id = await requestOf(ada);
    const accepted = await http(`${other}/api/conversations/${id}/accept/`, { method: "POST", token: bob.token });
    expect(accepted).toMatchObject({ status: 200, json: { conversation: { is_request: false, unread: 2 } } });
    await send(base, ada, bob, "four");
    await arrived(3);
    expect(pushed()).toEqual(["one", "two, edited", "four"]);
    expect(await listed(bob)).toMatchObject([{ conversation_id: id, unread: 3 }]);
    expect(await requests()).toEqual([]);
    expect((await kinds()).slice(-3)).toEqual(["message.created", "message.created", "message.created"]);
    expect((await call("POST", `conversations/${id}/accept/`, bob)).status).toBe(200); // it is so already
  });

  it.each([
    [
      "in the conversation",
      (id: number): Promise<Answer> => call("POST", `conversations/${id}/messages/`, bob, { message: "yes?" }),
    ],
    ["by the wire contract", (): Promise<Answer> => call("POST", "messages/", bob, messageBody(bob, ada, "yes?"))],
  ])("are accepted by an answer %s", async (_how, answer) => {
    await send(base, ada, bob, "hello");
    expect((await answer(await requestOf(ada))).status).toBeLessThan(300);
    await arrived(1);
    expect(await listed(bob)).toMatchObject([{ is_request: false }]);
    await send(base, ada, bob, "again");
    await arrived(2);
    expect(pushed()).toEqual(["hello", "again"]);
  });

  it("can be declined, and accepted after all", async () => {
    await send(base, ada, bob, "hello");
    const id = await requestOf(ada);
    expect((await call("POST", `conversations/${id}/decline/`, bob)).status).toBe(204);
    await send(base, ada, bob, "hello?");
    expect([await requests(), await listed(bob), pushed()]).toEqual([[], [], []]);
    expect((await call("GET", `conversations/${id}/messages/`, bob)).json["messages"]).toHaveLength(2);
    expect((await call("POST", `conversations/${id}/accept/`, bob)).status).toBe(200);
    await arrived(2);
    expect(pushed()).toEqual(["hello", "hello?"]);
  });

  it("are no requests from whom one has written with, or has written to", async () => {
    await ask(false);
    await send(base, ada, bob, "before");
    const eve = await register(base);
    await ask(true);
    await send(base, bob, eve, "hello Eve");
    await send(base, ada, bob, "after");
    await send(base, eve, bob, "hello Bob");
    await arrived(3);
    expect(pushed()).toEqual(["before", "after", "hello Bob"]);
    expect(await requests()).toEqual([]);
  });

  it("are requests even if a stranger opens the conversation first, and to oneself nobody is a stranger", async () => {
    await call("POST", "conversations/", ada, { user_id: bob.id });
    await send(base, ada, bob, "hello");
    expect(await requestOf(ada)).toBeDefined();
    await send(base, bob, bob, "a note");
    await arrived(1);
    expect(pushed()).toEqual(["a note"]);
  });

  it("are not got round by a group, or by a conversation that was opened before", async () => {
    await ask(false);
    await call("POST", "conversations/", ada, { user_id: bob.id });
    await ask(true);
    await send(base, ada, bob, "hello");
    expect(await requestOf(ada)).toBeDefined();
    const made = await call("POST", "conversations/", ada, { title: "Hello Bob", member_ids: [bob.id] });
    expect(made).toMatchObject({ status: 400, json: { code: "unknown_receiver" } });
    await call("POST", `conversations/${await requestOf(ada)}/accept/`, bob);
    expect((await call("POST", "conversations/", ada, { title: "Hello Bob", member_ids: [bob.id] })).status).toBe(201);
  });

  it("arrive in slices where many wait", { timeout: 60_000 }, async () => {
    const COUNT = 520;
    for (let n = 0; n < COUNT; n += 20) await Promise.all(Array.from({ length: 20 }, (_, m) => send(base, ada, bob, `${n + m}`)));
    const id = await requestOf(ada);
    expect((await call("POST", `conversations/${id}/accept/`, bob)).json).toMatchObject({ conversation: { is_request: false } });
    await arrived(COUNT);
    const history = (await call("GET", `conversations/${id}/messages/?order=oldest&limit=100`, bob)).json["messages"] as {
      message: string;
    }[];
    expect(pushed().slice(0, 100)).toEqual(history.map(({ message }) => message));
    expect(new Set(pushed()).size).toBe(COUNT);
  });

  it("tell a stranger neither what was read, nor who types", async () => {
    await send(base, ada, bob, "hello");
    const id = await requestOf(ada);
    const { message_id: last } = ((await call("GET", `conversations/${id}/messages/`, bob)).json["messages"] as object[])[0] as {
      message_id: string;
    };
    expect((await call("POST", `conversations/${id}/read/`, bob, { message_id: last })).json).toMatchObject({ unread: 0 });
    expect((await call("POST", `conversations/${id}/typing/`, bob)).status).toBe(204);
    const events = (await call("GET", "events/?after=0", ada)).json["events"] as { type: string }[];
    expect(events.map(({ type }) => type)).not.toContain("receipt.read");
  });

  it("are not somebody else's to accept or decline", async () => {
    await send(base, ada, bob, "hello");
    const id = await requestOf(ada);
    const eve = await register(base);
    for (const verb of ["accept", "decline"]) {
      expect(await call("POST", `conversations/${id}/${verb}/`, eve)).toMatchObject({ status: 404 });
      expect((await call("POST", `conversations/${id}/${verb}/`, ada)).status).toBeLessThan(300); // who has nothing to accept
    }
    expect(await requests()).toHaveLength(1);
  });

  it("lose nothing and keep their order while they are accepted in the middle of a crowd", { timeout: 60_000 }, async () => {
    const strangers = await Promise.all(Array.from({ length: 8 }, () => register(base)));
    const MESSAGES = 30;
    await Promise.all(
      strangers.map(async (who, n) => {
        const url = n % 2 === 0 ? base : other;
        const acceptAt = Math.floor(Math.random() * MESSAGES);
        let accepting: Promise<unknown> = Promise.resolve();
        for (let m = 0; m < MESSAGES; m += 1) {
          await send(url, who, bob, `${n} ${m}`);
          if (m === acceptAt) {
            // Not waited for: what is sent meanwhile must arrive, too.
            accepting = requestOf(who).then((id) =>
              http(`${other}/api/conversations/${id}/accept/`, { method: "POST", token: bob.token }),
            );
          }
        }
        expect(await accepting).toMatchObject({ status: 200 });
      }),
    );
    await arrived(strangers.length * MESSAGES);
    const texts = pushed();
    for (let n = 0; n < strangers.length; n += 1) {
      const own = texts.filter((text) => text.startsWith(`${n} `));
      expect(own).toEqual(Array.from({ length: MESSAGES }, (_, m) => `${n} ${m}`));
    }
    expect(await requests()).toEqual([]);
  });
});
