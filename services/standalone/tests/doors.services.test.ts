import { randomBytes } from "node:crypto";
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

/** Each door as a client of the system that it is of knows it, by status, type and body. */
describe.each(deployments)("the doors, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls.at(-1) as string;
  });
  afterAll(() => deployment.close());

  const call = (method: string, path: string, body?: unknown, token?: string): Promise<Answer> =>
    http(base + path, { method, body, ...(token === undefined ? undefined : { token }) });

  describe("messages", () => {
    let receiver: ScriptedReceiver;
    let ada: Person;
    let bob: Person;

    beforeAll(async () => {
      receiver = await startScriptedReceiver();
    });
    afterAll(() => receiver.close());
    beforeEach(async () => {
      [ada, bob] = [await register(base), await register(base)];
    });

    const send = (content: string, recipient: unknown = bob.id) =>
      call("POST", "/messages/", { recipient_id: recipient, content }, ada.token);
    const list = async (by: Person) => (await call("GET", "/messages/", undefined, by.token)).json as unknown as { id: string }[];

    it("sends, and says so", async () => {
      expect(await send("Hello Bob!")).toMatchObject({ status: 200, json: { message: "Message sent successfully" } });
      expect((await send("as text", String(bob.id))).json).toEqual({ message: "Message sent successfully" });
    });

    it("lists what one sent and received, the oldest first", async () => {
      await send("one");
      await call("POST", "/messages/", { recipient_id: ada.id, content: "two" }, bob.token);
      const expected = [
        { id: expect.any(String), sender_id: ada.id, recipient_id: bob.id, content: "one", timestamp: expect.any(String) },
        { id: expect.any(String), sender_id: bob.id, recipient_id: ada.id, content: "two", timestamp: expect.any(String) },
      ];
      expect(await list(ada)).toEqual(expected);
      expect(await list(bob)).toEqual(expected);
    });

    it("lists more than a page", async () => {
      for (let n = 0; n < 120; n += 1) await send(`m${n}`);
      expect((await list(bob)).map((message) => (message as unknown as { content: string }).content)).toEqual(
        Array.from({ length: 120 }, (_, n) => `m${n}`),
      );
    });

    it("answers 404 where there are none", async () => {
      const answer = await call("GET", "/messages/", undefined, ada.token);
      expect([answer.status, answer.text, answer.headers["content-type"]]).toEqual([
        404,
        '{"detail":"No messages found"}',
        "application/json; charset=utf-8",
      ]);
    });

    it.each(["PUT", "PATCH"])("reads, edits by %s, and deletes", async (method) => {
      await send("first");
      const [message] = await list(ada);
      const path = `/messages/${message?.id as string}`;
      expect((await call("GET", path, undefined, bob.token)).json).toEqual(message);
      expect((await call(method, path, { content: "second" }, ada.token)).json).toEqual({ ...message, content: "second" });
      expect((await call(method, path, { content: "mine" }, bob.token)).status).toBe(403);
      expect((await call("DELETE", path, undefined, ada.token)).json).toEqual({ message: "Message deleted successfully" });
      for (const [verb, body] of [["GET"], [method, { content: "third" }], ["DELETE"]] as [string, object?][]) {
        const answer = await call(verb, path, body, ada.token);
        expect([verb, answer.status, answer.json]).toEqual([verb, 404, { detail: "Message not found" }]);
      }
    });

    it.each(["0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f", "17", "nothing"])("answers 404 for the message %s", async (id) => {
      for (const [verb, body] of [["GET"], ["PUT", { content: "x" }], ["PATCH", { content: "x" }], ["DELETE"]] as [
        string,
        object?,
      ][]) {
        const answer = await call(verb, `/messages/${id}`, body, ada.token);
        expect([verb, answer.status, answer.json]).toEqual([verb, 404, { detail: "Message not found" }]);
      }
    });

    it("answers errors by their detail", async () => {
      expect(await call("GET", "/messages/")).toMatchObject({ status: 401, json: { detail: "Not authenticated" } });
      expect(await send("hello", 2 ** 40)).toMatchObject({ status: 404, json: { detail: "Recipient not found" } });
      expect((await send("")).status).toBe(422);
      expect((await send("hello", "bob")).status).toBe(422);
      expect(Object.keys((await send("hello", "bob")).json)).toEqual(["detail"]);
    });

    it("is a way to the same messages as every other", async () => {
      await logIn(base, bob, receiver.url);
      await send("one and the same");
      const arrival = await waitFor(() => receiver.arrivals[0], { what: "the push" });
      expect(arrival.body).toMatchObject({ message: "one and the same", sender_id: ada.id, receiver_id: bob.id });
      const [message] = await list(bob);
      expect((await call("GET", `/api/messages/${message?.id as string}`, undefined, bob.token)).json).toMatchObject({
        message: "one and the same",
      });
    });
  });

  describe("auth", () => {
    const person = () => ({
      email: `${randomBytes(6).toString("hex")}@example.com`,
      password: "correct horse battery",
      full_name: "Ada Lovelace",
    });

    it("registers, and signs in", async () => {
      const ada = person();
      const token = { access_token: expect.any(String), token_type: "bearer" };
      const registered = await call("POST", "/auth/register", ada);
      expect([registered.status, registered.json]).toEqual([200, token]);
      const { email, password } = ada;
      const signedIn = await call("POST", "/auth/login", { email, password });
      expect([signedIn.status, signedIn.json]).toEqual([200, token]);
      const { access_token } = signedIn.json as { access_token: string };
      expect((await call("GET", "/api/users/me", undefined, access_token)).json).toMatchObject({
        email,
        full_name: ada.full_name,
      });
      expect(signedIn.headers["cache-control"]).toBe("no-store");
    });

    it("answers 400 to an e-mail address that is taken, and 401 to a wrong password or nobody's address", async () => {
      const ada = person();
      await call("POST", "/auth/register", ada);
      const again = await call("POST", "/auth/register", { ...ada, email: ada.email.toUpperCase() });
      expect([again.status, again.text]).toEqual([400, '{"detail":"Email already registered"}']);
      for (const wrong of [{ ...ada, password: "wrong" }, person()]) {
        const answer = await call("POST", "/auth/login", wrong);
        expect([answer.status, answer.text]).toEqual([401, '{"detail":"Invalid credentials"}']);
      }
    });
  });

  it("a session is begun without an address, by whatever name, and with the name of the device", async () => {
    const ada = await register(base);
    for (const username of [ada.name, `tel ${ada.name}`]) {
      const begun = await call("POST", "/api/sessions/", { username, password: ada.password, device_name: "phone" });
      expect(begun).toMatchObject({ status: 201, json: { user_id: ada.id, token_type: "Bearer" } });
      expect((await call("GET", "/api/users/me", undefined, begun.json["access_token"] as string)).status).toBe(200);
    }
    expect(await call("POST", "/api/sessions/", { username: ada.name, password: "wrong" })).toMatchObject({
      status: 401,
      json: { code: "wrong_credentials" },
    });
  });
});
