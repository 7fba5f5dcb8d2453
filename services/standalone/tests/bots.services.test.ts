import {
  type Answer,
  http,
  logIn,
  messageBody,
  PASSWORD,
  type Person,
  register,
  type ScriptedReceiver,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

let names = 0;
const freshName = (): string => {
  names += 1;
  return `bot-${Date.now().toString(36)}-${names}`;
};

describe.each(deployments)("programs, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let receiver: ScriptedReceiver;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    receiver = await startScriptedReceiver();
  });
  afterAll(async () => {
    await receiver.close();
    await deployment.close();
  });
  beforeEach(async () => {
    ada = await register(base);
    bob = await register(base);
  });

  let turn = 0;
  /** Asks one listener after the other. */
  function call(method: string, path: string, by: Pick<Person, "token"> | null, body?: unknown): Promise<Answer> {
    turn += 1;
    const url = deployment.urls[turn % deployment.urls.length] as string;
    return http(`${url}/api/${path}`, { method, body, accept: "application/json", ...(by && { token: by.token }) });
  }
  const pushed = (): readonly string[] =>
    receiver.arrivals.filter(({ path }) => path === `/${bob.name}`).map(({ body }) => String(body["message"]));
  const arrived = (...texts: string[]): Promise<unknown> =>
    waitFor(() => texts.every((text) => pushed().includes(text)), { what: `${texts.join(", ")} to arrive` });
  const makeBot = async (): Promise<{ id: number; name: string }> => {
    const made = await call("POST", "bots", ada, { username: freshName(), full_name: "A bot" });
    expect(made).toMatchObject({ status: 201, json: { full_name: "A bot" } });
    return { id: Number(made.json["user_id"]), name: String(made.json["username"]) };
  };
  const tokenOf = (bot: number, by = ada, more: object = {}): Promise<Answer> =>
    call("POST", `bots/${bot}/tokens`, by, {
      name: "t",
      scopes: ["messages:send", "messages:read"],
      password: PASSWORD,
      ...more,
    });

  describe("bots", () => {
    it("write and read by tokens that their owners make, and have no password", async () => {
      await logIn(base, bob, `${receiver.url}/${bob.name}`);
      const bot = await makeBot();
      const token = String((await tokenOf(bot.id)).json["token"]);
      const self: Person = { ...bot, token, password: "" };
      expect((await call("POST", "messages", self, messageBody(self, bob, "by a bot"))).status).toBe(200);
      await arrived("by a bot");
      expect((await call("GET", "users/me", self)).json).toMatchObject({ user_id: bot.id, username: bot.name });
      for (const password of ["-", PASSWORD, "none"]) {
        expect((await call("POST", "sessions", null, { username: bot.name, password })).status).toBe(401);
      }
      expect((await call("GET", `users?username=${bot.name}`, bob)).json).toMatchObject({ is_bot: true });
      expect((await call("GET", `users?username=${bob.name}`, self)).json).toMatchObject({ is_bot: false });
      expect((await call("POST", "bots", self, { username: freshName() })).status).toBe(403); // a bot has none
    });

    it("are their owners' alone", async () => {
      const bot = await makeBot();
      const made = await tokenOf(bot.id);
      expect(await tokenOf(bot.id, bob)).toMatchObject({ status: 404, json: { code: "no_such_user" } });
      expect(await tokenOf(bob.id)).toMatchObject({ status: 404 });
      expect(await tokenOf(bot.id, ada, { password: "wrong" })).toMatchObject({ status: 403, json: { code: "wrong_password" } });
      expect((await call("GET", `bots/${bot.id}/tokens`, bob)).status).toBe(404);
      const id = String(made.json["token_id"]);
      expect((await call("DELETE", `bots/${bot.id}/tokens/${id}`, bob)).status).toBe(404);
      expect((await call("DELETE", `tokens/${id}`, ada)).status).toBe(404); // it is the bot's
      expect((await call("DELETE", `bots/${bot.id}`, bob)).status).toBe(404);
      expect((await call("GET", `bots/${bot.id}/tokens`, ada)).json["tokens"]).toHaveLength(1);
      expect((await call("DELETE", `bots/${bot.id}/tokens/${id}`, ada)).status).toBe(204);
      const token = String(made.json["token"]);
      await waitFor(async () => (await call("GET", "users/me", { token })).status === 401, { what: "the token to end" });
      expect(await call("DELETE", `bots/${bot.id}/tokens/${id}`, ada)).toMatchObject({ json: { code: "no_such_token" } });
    });

    it("have names that nobody else has, and are twenty at most", async () => {
      expect(await call("POST", "bots", ada, { username: bob.name })).toMatchObject({ status: 409, json: { code: "taken" } });
      expect(await call("POST", "bots", ada, { username: "admin" })).toMatchObject({ status: 400 });
      for (let n = 0; n < 21; n += 1) {
        const { status } = await call("POST", "bots", ada, { username: freshName() });
        expect([n, status]).toEqual([n, n < 20 ? 201 : 409]);
      }
      expect((await call("GET", "bots", ada)).json["bots"]).toHaveLength(20);
      expect((await call("GET", "bots", bob)).json["bots"]).toEqual([]);
    });

    it("end with their owners, and before", async () => {
      const [first, second] = [await makeBot(), await makeBot()];
      const token = String((await tokenOf(second.id)).json["token"]);
      expect((await call("DELETE", `bots/${first.id}`, ada)).status).toBe(204);
      expect((await call("GET", `users?username=${first.name}`, bob)).status).toBe(404);
      expect((await call("DELETE", "users/me", ada, { password: PASSWORD })).status).toBe(200);
      expect((await call("GET", `users?username=${second.name}`, bob)).status).toBe(404);
      await waitFor(async () => (await call("GET", "users/me", { token })).status === 401, { what: "the token to end" });
    });
  });

  describe("incoming webhooks", () => {
    let group: number;
    beforeEach(async () => {
      await logIn(base, bob, `${receiver.url}/${bob.name}`);
      const made = await call("POST", "conversations", ada, { title: "Builds", member_ids: [bob.id] });
      group = (made.json["conversation"] as { conversation_id: number }).conversation_id;
    });
    const make = async (by = ada, name = "builds"): Promise<{ id: number; path: string; answer: Answer }> => {
      const answer = await call("POST", `conversations/${group}/hooks`, by, { name });
      return { id: Number(answer.json["hook_id"]), path: new URL(String(answer.json["url"]), base).pathname.slice(5), answer };
    };
    const post = (path: string, body: unknown, key?: string): Promise<Answer> =>
      http(`${base}/api/${path}`, { body, ...(key === undefined ? undefined : { headers: { "idempotency-key": key } }) });

    it("write to their conversation in the name of who made them", async () => {
      const { path, answer } = await make();
      expect(answer).toMatchObject({ status: 201, json: { name: "builds", by_user_id: ada.id, last_used_at: null } });
      const posted = await post(path, { text: "Build 71 has passed", attachments: [], channel: "#other" });
      expect(posted).toMatchObject({
        status: 201,
        json: { conversation_id: group, sender_id: ada.id, message: "Build 71 has passed" },
      });
      await post(path, { message: "Build 72 has failed" });
      await arrived("Build 71 has passed", "Build 72 has failed");
      const { hooks } = (await call("GET", `conversations/${group}/hooks`, ada)).json as { hooks: Record<string, unknown>[] };
      expect(hooks).toMatchObject([
        { hook_id: answer.json["hook_id"], name: "builds", last_used_at: expect.any(String) as string },
      ]);
      expect(JSON.stringify(hooks)).not.toContain("mh_");
    });

    it("repeat nothing under an Idempotency-Key, and refuse what is no message", async () => {
      const { path } = await make();
      const [first, again] = [await post(path, { message: "once" }, "k"), await post(path, { message: "once" }, "k")];
      expect(again.json["message_id"]).toBe(first.json["message_id"]);
      expect(await post(path, { message: "other" }, "k")).toMatchObject({ status: 422 });
      expect(await post(path, { title: "no text" })).toMatchObject({ status: 400, json: { code: "validation_error" } });
      expect(await post(path, { message: "x".repeat(5_000) })).toMatchObject({ status: 413 });
    });

    it("are good for nothing else, and for nobody else to see or end", async () => {
      const { id, path } = await make();
      const token = path.split("/").at(-1) as string;
      expect((await call("GET", "users/me", { token })).status).toBe(401);
      expect((await call("GET", "tokens", ada)).json["tokens"]).toEqual([]);
      expect((await call("GET", `conversations/${group}/hooks`, bob)).json["hooks"]).toEqual([]);
      expect((await call("DELETE", `conversations/${group}/hooks/${id}`, bob)).status).toBe(404);
      for (const wrong of ["hooks/mh_", `hooks/${token.slice(0, -1)}x`, `hooks/mt_${token.slice(3)}`]) {
        expect(await post(wrong, { message: "hello" })).toMatchObject({ status: 404, json: { code: "no_such_token" } });
      }
    });

    it("end when they are deleted, and write no more once their maker is out", async () => {
      const { id, path } = await make();
      const ofBob = await make(bob);
      expect((await call("DELETE", `conversations/${group}/hooks/${id}`, ada)).status).toBe(204);
      expect(await post(path, { message: "hello" })).toMatchObject({ status: 404, json: { code: "no_such_token" } });
      expect((await call("DELETE", `conversations/${group}/members/${bob.id}`, ada)).status).toBe(204);
      expect(await post(ofBob.path, { message: "hello" })).toMatchObject({ status: 404, json: { code: "no_such_conversation" } });
    });

    it("write to nobody where the other one is gone", async () => {
      const eve = await register(base);
      const { json } = await call("POST", "conversations", ada, { user_id: eve.id });
      const { conversation_id: direct } = json["conversation"] as { conversation_id: number };
      const made = await call("POST", `conversations/${direct}/hooks`, ada, { name: "x" });
      const path = new URL(String(made.json["url"]), base).pathname.slice(5);
      expect((await post(path, { message: "hello" })).status).toBe(201);
      expect((await call("DELETE", "users/me", eve, { password: PASSWORD })).status).toBe(200);
      expect(await post(path, { message: "hello" })).toMatchObject({ status: 400, json: { code: "unknown_receiver" } });
    });

    it("are for who takes part, twenty at most, and can be a bot's", async () => {
      const eve = await register(base);
      expect(await call("POST", `conversations/${group}/hooks`, eve, { name: "x" })).toMatchObject({ status: 404 });
      for (let n = 0; n < 21; n += 1) expect([n, (await make()).answer.status]).toEqual([n, n < 20 ? 201 : 409]);
      const bot = await makeBot();
      const token = String((await tokenOf(bot.id)).json["token"]);
      await call("POST", `conversations/${group}/members`, ada, { user_id: bot.id });
      const hook = await make({ ...bot, token, password: "" });
      expect((await post(hook.path, { message: "from a bot's hook" })).json).toMatchObject({ sender_id: bot.id });
    });
  });
});
