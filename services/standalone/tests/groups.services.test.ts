import {
  type Answer,
  http,
  logIn,
  type Person,
  register,
  type ScriptedReceiver,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

interface Event {
  seq: number;
  type: string;
  message?: string;
  user_id?: number;
}

const ROLES = ["owner", "admin", "member"] as const;

describe.each(deployments)("groups, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;
  let ada: Person;
  let bob: Person;
  let eve: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    [ada, bob, eve] = [await register(base), await register(base), await register(base)];
  });

  const call = (method: string, path: string, by: Person, body?: unknown, headers?: Record<string, string>): Promise<Answer> =>
    http(`${other}/api/${path}`, { method, body, token: by.token, headers });
  const code = async (answer: Promise<Answer>): Promise<unknown> => {
    const { status, json } = await answer;
    return json["code"] ?? status;
  };
  const eventsOf = async (person: Person, after = 0): Promise<Event[]> =>
    (await call("GET", `events?after=${after}`, person)).json["events"] as Event[];
  const typesOf = async (person: Person): Promise<string[]> => (await eventsOf(person)).map(({ type }) => type);

  async function makeGroup(by: Person, members: readonly Person[], title = "Engines"): Promise<number> {
    const made = await call("POST", "conversations", by, { title, member_ids: members.map(({ id }) => id) });
    expect(made.status, made.text).toBe(201);
    return (made.json["conversation"] as { conversation_id: number }).conversation_id;
  }
  const say = (group: number, by: Person, message: string, headers?: Record<string, string>): Promise<Answer> =>
    call("POST", `conversations/${group}/messages`, by, { message }, headers);
  const textsOf = async (group: number, by: Person): Promise<unknown[]> => {
    const { json } = await call("GET", `conversations/${group}/messages?order=oldest`, by);
    return (json["messages"] as { message: string }[]).map(({ message }) => message);
  };
  const rolesIn = async (group: number, by: Person): Promise<unknown[]> => {
    const { json } = await call("GET", `conversations/${group}/members`, by);
    return (json["members"] as { user_id: number; role: string }[]).map(({ user_id, role }) => [user_id, role]);
  };

  describe("messages", () => {
    let receiver: ScriptedReceiver;

    beforeAll(async () => {
      receiver = await startScriptedReceiver();
    });
    afterAll(() => receiver.close());

    it("reach all others, by pull and by push, in the form of the wire contract", async () => {
      await logIn(base, bob, `${receiver.url}/${bob.name}`);
      const group = await makeGroup(ada, [bob, eve]);
      const sent = await say(group, ada, "Hello all!");
      expect(sent).toMatchObject({
        status: 201,
        json: { conversation_id: group, message: "Hello all!", sender_id: ada.id, version: 1, reactions: [] },
      });
      expect(sent.json).not.toHaveProperty("receiver_id");
      expect(sent.headers["location"]).toBe(`/api/messages/${sent.json["message_id"] as string}/`);
      expect(await typesOf(ada)).toEqual(["conversation.created"]);
      for (const person of [bob, eve]) {
        expect((await eventsOf(person)).at(-1)).toMatchObject({
          type: "message.created",
          message: "Hello all!",
          sender_id: ada.id,
        });
      }
      const arrival = await waitFor(() => receiver.arrivals.find(({ path }) => path === `/${bob.name}`), { what: "the push" });
      expect(arrival.body).toMatchObject({
        message: "Hello all!",
        sender_id: ada.id,
        sender_username: ada.name,
        receiver_id: bob.id,
        type: "message.created",
        conversation_id: group,
        id: sent.json["message_id"],
      });
      expect(arrival.body).not.toHaveProperty("v");
    });

    it("have the same form whether they are pushed at once or late, from the log", async () => {
      receiver.behave({ status: 200 });
      await logIn(base, bob, `${receiver.url}/${bob.name}`);
      const group = await makeGroup(ada, [bob, eve]);
      const id = (await say(group, ada, "soon or late")).json["message_id"] as string;
      const pushTo = ({ name }: Person) =>
        waitFor(() => receiver.arrivals.find((arrival) => arrival.path === `/${name}` && arrival.id === id), {
          what: "the push",
        });
      const soon = await pushTo(bob);
      await logIn(base, eve, `${receiver.url}/${eve.name}`);
      const late = await pushTo(eve);
      expect(late.rawBody).toBe(
        soon.rawBody.replace(`"receiver_id":${bob.id}`, `"receiver_id":${eve.id}`).replace(/"seq":\d+/u, `"seq":${late.seq}`),
      );
    });

    it("are told to the sender's other session, and not to the one that sends", async () => {
      const second = await logIn(base, ada, "http://127.0.0.1:9/");
      const group = await makeGroup(ada, [bob]);
      await say(group, { ...ada, token: second.token }, "from the phone");
      expect((await eventsOf(ada)).at(-1)).toMatchObject({ type: "message.sent", message: "from the phone" });
    });

    it("can be sent where nobody else takes part", async () => {
      const group = await makeGroup(ada, []);
      expect(await code(say(group, ada, "note to self"))).toBe(201);
      expect(await textsOf(group, ada)).toEqual(["note to self"]);
    });

    it("are sent once under an Idempotency-Key, which another text or conversation cannot use", async () => {
      const [group, another] = [await makeGroup(ada, [bob]), await makeGroup(ada, [bob])];
      const headers = { "idempotency-key": "one" };
      const first = await say(group, ada, "once", headers);
      expect((await say(group, ada, "once", headers)).json).toEqual(first.json);
      expect(await code(say(group, ada, "twice", headers))).toBe("idempotency_key_reused");
      expect(await code(say(another, ada, "once", headers))).toBe("idempotency_key_reused");
      expect(await textsOf(group, bob)).toEqual(["once"]);
    });

    it("that are sent again get the first answer, whatever became of them and of what they answer", async () => {
      const group = await makeGroup(ada, [bob]);
      const asked = (await say(group, bob, "a question")).json["message_id"] as string;
      const answer = (reply_to: string) =>
        call("POST", `conversations/${group}/messages`, ada, { message: "an answer", reply_to }, { "idempotency-key": "answer" });
      const first = await answer(asked.toUpperCase());
      expect(first.json["reply_to"]).toBe(asked);
      await call("PATCH", `messages/${first.json["message_id"] as string}`, ada, { message: "a better answer" });
      await call("DELETE", `messages/${asked}`, bob);
      expect((await answer(asked)).json).toEqual(first.json);
      await call("DELETE", `messages/${first.json["message_id"] as string}`, ada);
      expect(await answer(asked)).toMatchObject({ status: 201, json: { message_id: first.json["message_id"] } });
      expect(await textsOf(group, bob)).toEqual([]);
    });

    it("of others are counted as unread until they are read or deleted, and one's own are not", async () => {
      const group = await makeGroup(ada, [bob, eve]);
      const [one, two] = [await say(group, ada, "one"), await say(group, eve, "two")];
      await say(group, bob, "three");
      const unread = async () => {
        const { conversation } = (await call("GET", `conversations/${group}`, bob)).json as { conversation: { unread: number } };
        return conversation.unread;
      };
      expect(await unread()).toBe(2);
      await call("DELETE", `messages/${two.json["message_id"] as string}`, eve);
      expect(await unread()).toBe(1);
      await call("POST", `conversations/${group}/read`, bob, { message_id: one.json["message_id"] });
      expect(await unread()).toBe(0);
      expect((await eventsOf(eve)).at(-1)).toMatchObject({ type: "receipt.read", user_id: bob.id });
    });

    it("are deleted by who wrote them, and any by owners and admins", async () => {
      const group = await makeGroup(ada, [bob, eve]);
      const id = (await say(group, bob, "gone")).json["message_id"] as string;
      expect(await code(call("DELETE", `messages/${id}`, eve))).toBe("forbidden");
      expect(await code(call("PATCH", `messages/${id}`, ada, { message: "mine" }))).toBe("forbidden");
      expect(await code(call("DELETE", `messages/${id}`, ada))).toBe(204);
      expect(await textsOf(group, bob)).toEqual([]);
      expect((await eventsOf(eve)).at(-1)).toMatchObject({ type: "message.deleted" });
    });
  });

  it("are listed from the moment when one joins, with their title, one's role, and how many take part", async () => {
    const group = await makeGroup(ada, [bob]);
    const { json } = await call("GET", "conversations", bob);
    expect(json["conversations"]).toMatchObject([
      {
        conversation_id: group,
        kind: "group",
        with: null,
        group: { title: "Engines", role: "member", members: 2 },
        last_message: null,
        unread: 0,
      },
    ]);
    expect((await eventsOf(bob))[0]).toMatchObject({ type: "conversation.created", title: "Engines", by_user_id: ada.id });
    expect(await rolesIn(group, bob)).toEqual([
      [ada.id, "owner"],
      [bob.id, "member"],
    ]);
  });

  it("are made once under an Idempotency-Key", async () => {
    const make = (title: string) =>
      call("POST", "conversations", ada, { title, member_ids: [bob.id] }, { "idempotency-key": "make" });
    const [first, again] = [await make("one"), await make("one")];
    expect(first.status).toBe(201);
    expect(again.json["conversation"] as object).toEqual(first.json["conversation"]);
    expect(await code(make("two"))).toBe("idempotency_key_reused");
  });

  it("are made once under an Idempotency-Key, though one of the members is gone since", async () => {
    const headers = { "idempotency-key": "gone" };
    const make = () => call("POST", "conversations", ada, { title: "three", member_ids: [bob.id, eve.id] }, headers);
    const first = await make();
    await http(`${base}/api/users/`, { method: "DELETE", body: { user_id: eve.id }, token: eve.token });
    expect((await make()).json).toMatchObject({
      conversation: { conversation_id: (first.json["conversation"] as { conversation_id: number }).conversation_id },
    });
  });

  it.each([
    ["neither a user nor a title", {}],
    ["a user and a title", { user_id: 1, title: "both" }],
    ["members without a title", { member_ids: [] }],
    ["a member twice", { title: "twice", member_ids: [7, 7] }],
  ])("are not made of %s", async (_what, body) => {
    expect(await code(call("POST", "conversations", ada, body))).toBe("validation_error");
  });

  it("say in words what is wrong with a request, and where", async () => {
    const group = await makeGroup(ada, [bob]);
    const role = await call("PATCH", `conversations/${group}/members/${bob.id}`, ada, { role: "boss" });
    expect(role.json).toMatchObject({
      detail: "body: role must be one of owner, admin, member",
      errors: [{ in: "body", pointer: "/role", detail: "must be one of owner, admin, member" }],
    });
    const members = await call("POST", `conversations/${group}/members`, ada, { member_ids: [1] });
    expect(members.json["detail"]).toBe("body: must have required properties user_id; member_ids is not known here");
    const order = await call("GET", `conversations/${group}/messages?order=up`, ada);
    expect(order.json["detail"]).toBe("querystring: order must be one of newest, oldest");
  });

  it("are not made with users who do not exist", async () => {
    expect(await code(call("POST", "conversations", ada, { title: "ghosts", member_ids: [2 ** 40] }))).toBe("unknown_receiver");
    expect(await code(call("POST", "conversations", ada, { user_id: 2 ** 40 }))).toBe("unknown_receiver");
  });

  it("are nobody else's business", async () => {
    const group = await makeGroup(ada, [bob]);
    const id = (await say(group, ada, "secret")).json["message_id"] as string;
    const asked: [string, string, unknown?][] = [
      ["GET", `conversations/${group}`],
      ["PATCH", `conversations/${group}`, { title: "mine" }],
      ["GET", `conversations/${group}/messages`],
      ["POST", `conversations/${group}/messages`, { message: "hello" }],
      ["POST", `conversations/${group}/read`, { message_id: id }],
      ["PATCH", `conversations/${group}/preferences`, { muted: true }],
      ["GET", `conversations/${group}/members`],
      ["POST", `conversations/${group}/members`, { user_id: eve.id }],
      ["PATCH", `conversations/${group}/members/${bob.id}`, { role: "admin" }],
      ["DELETE", `conversations/${group}/members/${bob.id}`],
      ["DELETE", `conversations/${group}/members/${eve.id}`],
      ["GET", `conversations/${group}/bans`],
      ["PUT", `conversations/${group}/bans/${bob.id}`],
      ["DELETE", `conversations/${group}/bans/${bob.id}`],
      ["GET", `conversations/${group}/invites`],
      ["POST", `conversations/${group}/invites`, { expires_in: 60 }],
      ["DELETE", `conversations/${group}/invites/${id}`],
    ];
    for (const [method, path, body] of asked) {
      expect([method, path, await code(call(method, path, eve, body))]).toEqual([method, path, "no_such_conversation"]);
    }
    expect(await code(call("GET", `messages/${id}`, eve))).toBe("no_such_message");
    expect(await code(call("PUT", `messages/${id}/reactions/%F0%9F%91%8D`, eve))).toBe("no_such_message");
    expect(await eventsOf(eve)).toEqual([]);
  });

  it("have no members to add in a conversation of two", async () => {
    const opened = await call("POST", "conversations", ada, { user_id: bob.id });
    expect(opened).toMatchObject({ status: 201, json: { conversation: { kind: "direct", with: { user_id: bob.id } } } });
    const { conversation_id: id } = opened.json["conversation"] as { conversation_id: number };
    expect(await code(call("GET", `conversations/${id}/members`, ada))).toBe("no_such_conversation");
    expect(await code(call("POST", `conversations/${id}/members`, ada, { user_id: eve.id }))).toBe("no_such_conversation");
    expect((await call("POST", "conversations", bob, { user_id: ada.id })).json).toMatchObject({
      conversation: { conversation_id: id },
    });
    expect(await code(say(id, bob, "found"))).toBe(201);
    expect((await eventsOf(ada))[0]).toMatchObject({ message: "found", receiver_id: ada.id, conversation_id: id });
  });

  describe("members", () => {
    it("read what is written from when they joined, and nothing of before or of after they left", async () => {
      const group = await makeGroup(ada, [bob]);
      const before = (await say(group, ada, "before")).json["message_id"] as string;
      expect(await code(call("POST", `conversations/${group}/members`, ada, { user_id: eve.id }))).toBe(204);
      await say(group, ada, "meanwhile");
      expect(await textsOf(group, eve)).toEqual(["meanwhile"]);
      await call("PATCH", `messages/${before}`, ada, { message: "before, but better" });
      await call("PUT", `messages/${before}/reactions/%F0%9F%91%8D`, bob);
      for (const [method, path, body] of [
        ["GET", `messages/${before}`],
        ["GET", `messages/${before}/versions`],
        ["PUT", `messages/${before}/reactions/%E2%9D%A4%EF%B8%8F`],
        ["POST", `conversations/${group}/read`, { message_id: before }],
        ["POST", `conversations/${group}/messages`, { message: "re", reply_to: before }],
      ] as const) {
        expect([path, await code(call(method, path, eve, body))]).toEqual([path, "no_such_message"]);
      }
      expect(await code(call("DELETE", `conversations/${group}/members/${eve.id}`, eve))).toBe(204);
      await say(group, ada, "after");
      expect(await code(call("GET", `conversations/${group}/messages`, eve))).toBe("no_such_conversation");
      expect(await typesOf(eve)).toEqual(["member.added", "message.created", "member.left"]);
      expect((await eventsOf(eve))[0]).toMatchObject({ user_id: eve.id, role: "member", title: "Engines", by_user_id: ada.id });
    });

    it.each(ROLES)("that are %s may do what that role allows", async (role) => {
      const group = await makeGroup(ada, [bob]);
      if (role !== "member") await call("PATCH", `conversations/${group}/members/${bob.id}`, ada, { role });
      const manages = role !== "member";
      const done = (is: boolean): unknown => (is ? 204 : "forbidden");
      const other = await register(base);
      const act = (method: string, path: string, body?: unknown) =>
        code(call(method, `conversations/${group}/${path}`, bob, body));
      expect(await code(call("PATCH", `conversations/${group}`, bob, { title: "new" }))).toBe(manages ? 200 : "forbidden");
      expect(await act("POST", "members", { user_id: eve.id })).toBe(done(manages));
      if (!manages) await call("POST", `conversations/${group}/members`, ada, { user_id: eve.id });
      expect(await act("PATCH", `members/${eve.id}`, { role: "admin" })).toBe(done(role === "owner"));
      expect(await act("DELETE", `members/${ada.id}`)).toBe("forbidden");
      expect(await act("PUT", `bans/${ada.id}`)).toBe("forbidden");
      expect(await act("DELETE", `members/${eve.id}`)).toBe(done(manages));
      expect(await act("PUT", `bans/${other.id}`)).toBe(done(manages));
      expect(await act("GET", "bans")).toBe(manages ? 200 : "forbidden");
      expect(await act("DELETE", `bans/${other.id}`)).toBe(done(manages));
      expect(await act("POST", "invites", { expires_in: 60 })).toBe(manages ? 201 : "forbidden");
      expect(await act("GET", "invites")).toBe(manages ? 200 : "forbidden");
      expect(await act("DELETE", `members/${bob.id}`)).toBe(204);
    });

    it("keep an owner, who hands over before leaving", async () => {
      const group = await makeGroup(ada, [bob]);
      const leave = () => code(call("DELETE", `conversations/${group}/members/${ada.id}`, ada));
      expect(await leave()).toBe("last_owner");
      expect(await code(call("PATCH", `conversations/${group}/members/${ada.id}`, ada, { role: "member" }))).toBe("last_owner");
      expect(await code(call("PATCH", `conversations/${group}/members/${bob.id}`, ada, { role: "owner" }))).toBe(204);
      expect(await leave()).toBe(204);
      expect(await rolesIn(group, bob)).toEqual([[bob.id, "owner"]]);
      expect(await code(call("DELETE", `conversations/${group}/members/${bob.id}`, bob))).toBe(204);
    });

    it("are followed by who has been there longest when the only owner's account is deleted", async () => {
      const group = await makeGroup(ada, [bob, eve]);
      await call("PATCH", `conversations/${group}/members/${eve.id}`, ada, { role: "admin" });
      expect((await http(`${base}/api/users/`, { method: "DELETE", body: { user_id: ada.id }, token: ada.token })).status).toBe(
        200,
      );
      expect(await rolesIn(group, bob)).toEqual([
        [bob.id, "member"],
        [eve.id, "owner"],
      ]);
      expect((await eventsOf(bob)).at(-1)).toMatchObject({ type: "member.left", user_id: ada.id, owner_id: eve.id });
    });

    it("that are banned are out, and neither added nor let in by a link until that is lifted", async () => {
      const group = await makeGroup(ada, [bob]);
      const { token } = (await call("POST", `conversations/${group}/invites`, ada, { expires_in: 60 })).json;
      expect(await code(call("PUT", `conversations/${group}/bans/${bob.id}`, ada))).toBe(204);
      expect((await eventsOf(bob)).at(-1)).toMatchObject({ type: "member.removed", user_id: bob.id });
      expect(await code(call("POST", `conversations/${group}/members`, ada, { user_id: bob.id }))).toBe("banned");
      expect(await code(call("POST", "conversations/join", bob, { token }))).toBe("banned");
      const { json } = await call("GET", `conversations/${group}/bans`, ada);
      expect(json["bans"]).toMatchObject([{ user_id: bob.id, username: bob.name, by_user_id: ada.id }]);
      expect(await code(call("DELETE", `conversations/${group}/bans/${bob.id}`, ada))).toBe(204);
      expect(await code(call("POST", "conversations/join", bob, { token }))).toBe(200);
    });

    it("join by a link until it ends", async () => {
      const group = await makeGroup(ada, [bob]);
      const invite = await call("POST", `conversations/${group}/invites`, ada, { expires_in: 60 });
      const { token, invite_id: id } = invite.json as { token: string; invite_id: string };
      expect((await call("GET", `conversations/${group}/invites`, ada)).json).toMatchObject({ invites: [invite.json] });
      expect((await call("POST", "conversations/join", eve, { token })).json).toEqual({ conversation_id: group });
      expect(await code(call("POST", "conversations/join", eve, { token }))).toBe(200);
      expect((await eventsOf(bob)).filter(({ type }) => type === "member.added")).toHaveLength(1);
      expect(await code(call("DELETE", `conversations/${group}/invites/${id}`, ada))).toBe(204);
      expect(await code(call("DELETE", `conversations/${group}/invites/${id}`, ada))).toBe("no_such_invite");
      expect(await code(call("POST", "conversations/join", await register(base), { token }))).toBe("no_such_invite");
    });
  });

  it("are muted, archived and pinned by each for oneself, and one's other clients are told", async () => {
    const [group, another] = [await makeGroup(ada, [bob]), await makeGroup(ada, [bob])];
    const prefer = (body: unknown) => call("PATCH", `conversations/${group}/preferences`, bob, body);
    expect((await prefer({ archived: true })).json).toEqual({ muted: false, archived: true, pinned: false });
    expect((await prefer({ muted: true })).json).toEqual({ muted: true, archived: true, pinned: false });
    expect(await code(prefer({}))).toBe("validation_error");
    const ids = async (by: Person, query: string) =>
      ((await call("GET", `conversations?${query}`, by)).json["conversations"] as { conversation_id: number }[]).map(
        ({ conversation_id }) => conversation_id,
      );
    expect(await ids(bob, "archived=true")).toEqual([group]);
    expect(await ids(bob, "archived=false")).toEqual([another]);
    expect(await ids(ada, "archived=true")).toEqual([]);
    expect((await eventsOf(bob)).at(-1)).toMatchObject({
      type: "preferences.changed",
      conversation_id: group,
      preferences: { muted: true, archived: true, pinned: false },
    });
    expect(await typesOf(ada)).not.toContain("preferences.changed");
  });

  it("take 256 members, and no more", { timeout: 120_000 }, async () => {
    const people: Person[] = [];
    while (people.length < 256) people.push(...(await Promise.all(Array.from({ length: 8 }, () => register(base)))));
    const group = await makeGroup(ada, people.slice(0, 255));
    expect(await code(call("POST", `conversations/${group}/members`, ada, { user_id: (people[255] as Person).id }))).toBe("full");
    const { json } = await call("GET", `conversations/${group}/members`, ada);
    expect(json["members"]).toHaveLength(256);
    expect(await code(say(group, ada, "all of you"))).toBe(201);
    expect((await eventsOf(people[254] as Person)).at(-1)).toMatchObject({ message: "all of you" });
  });
});
