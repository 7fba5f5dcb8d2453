import { PushBody } from "@messenger/contracts";
import { createKeyring, systemRandom } from "@messenger/core";
import {
  type Answer,
  type Call,
  http as request,
  logIn,
  messageBody,
  PASSWORD,
  type Person,
  register,
  type ScriptedReceiver,
  send,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { SignJWT } from "jose";
import { Webhook } from "standardwebhooks";
import { Value } from "typebox/value";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments, SECRET } from "./deployments.ts";
import { figure, msSince } from "./figure.ts";

const JSON_ONLY = "application/json";

/** What was answered to what, in the tests of one deployment: `get /api/users 404 text/plain`. */
const answered = new Set<string>();

async function http(url: string, call: Call = {}): Promise<Answer> {
  const answer = await request(url, call);
  const method = call.method ?? (call.body === undefined ? "GET" : "POST");
  const type = answer.headers["content-type"]?.split(";")[0] ?? "";
  const path = new URL(url).pathname.replace(/\/$/u, "");
  answered.add(`${method.toLowerCase()} ${path} ${answer.status} ${type}`);
  return answer;
}

describe.each(deployments)("the wire contract, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;
  let receiver: ScriptedReceiver;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    answered.clear();
    deployment = await deploy();
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    receiver = await startScriptedReceiver();
    [ada, bob] = [await register(base), await register(base)];
  });
  afterEach(() => receiver.close());

  describe("health", () => {
    it.each(["/api/health/", "/api/health"])("answers GET and HEAD %s with 200 and the text OK", async (path) => {
      const got = await http(base + path);
      expect([got.status, got.text]).toEqual([200, "OK"]);
      expect(got.headers["content-type"]).toContain("text/plain");
      const head = await http(base + path, { method: "HEAD" });
      expect([head.status, head.text]).toEqual([200, ""]);
    });

    it("says that it lives and is ready", async () => {
      expect((await http(`${base}/api/health/live`)).status).toBe(200);
      expect((await http(`${base}/api/health/ready`)).json).toEqual({ status: "ok" });
    });

    it("describes itself, and has pages that show it", async () => {
      const openapi = await http(`${base}/api/openapi.json`);
      expect(Object.keys(openapi.json["paths"] as object)).toEqual(
        expect.arrayContaining(["/api/users", "/api/login", "/api/logout", "/api/messages", "/api/health"]),
      );
      for (const path of ["/api/docs/", "/api/redoc/"]) {
        const page = await http(base + path);
        expect(page.text).toContain("<title>Messenger API</title>");
        expect(page.headers).toMatchObject({ "x-frame-options": "SAMEORIGIN", "referrer-policy": "no-referrer" });
        expect(page.headers["content-security-policy"]).toContain("script-src 'self'");
      }
      for (const [from, to] of [
        ["/docs", "/api/docs"],
        ["/redoc", "/api/redoc"],
        ["/apidocs/", "/api/docs"],
        // Which would be written anew for each request.
        ["/api/docs/json", "/api/openapi.json"],
        ["/api/docs/yaml", "/api/openapi.json"],
      ] as const) {
        expect(await http(base + from)).toMatchObject({ status: 302, headers: { location: to } });
      }
    });
  });

  describe("text or JSON", () => {
    it.each([
      [undefined, "text/plain"],
      ["*/*", "text/plain"],
      ["application/json, text/plain, */*", "text/plain"],
      ["text/plain;q=0.5, application/json;q=0.5", "text/plain"],
      ["application/json", "application/json"],
      ["text/plain;q=0.4, application/json;q=0.5", "application/json"],
      ["application/json, */*;q=0.1", "application/json"],
    ])("answers Accept %s with %s", async (accept, type) => {
      const answer = await http(`${base}/api/messages/`, { body: messageBody(ada, bob), token: ada.token, accept });
      expect(answer.headers["content-type"]).toContain(type);
      const refused = await http(`${base}/api/messages/`, { body: {}, token: ada.token, accept });
      expect(refused.headers["content-type"]).toContain(type === "text/plain" ? type : "application/problem+json");
    });
  });

  describe("making a user", () => {
    it("answers 201 with the id, signed in already", async () => {
      const answer = await http(`${base}/api/users/`, {
        body: { username: `${ada.name}x`, phone_number: "abcde", password: PASSWORD },
      });
      expect(answer.status).toBe(201);
      expect(answer.json).toMatchObject({ token_type: "Bearer", expires_in: 3600, username: `${ada.name}x` });
      expect(Number.isInteger(answer.json["user_id"])).toBe(true);
      const token = answer.json["access_token"] as string;
      expect((await http(`${base}/api/users/?username=${ada.name}`, { token })).status).toBe(200);
      const refreshed = await http(`${base}/api/token/refresh/`, { body: { refresh_token: answer.json["refresh_token"] } });
      expect(refreshed.json).toMatchObject({ token_type: "Bearer" });
    });

    it("takes e-mail, password and full name without the others, who then sends under the e-mail address", async () => {
      const email = `${ada.name}@example.org`;
      const made = await http(`${base}/api/users/`, { body: { email, password: PASSWORD, full_name: "Ada L." } });
      expect(made.status).toBe(201);
      const person = {
        id: made.json["user_id"] as number,
        name: email,
        password: PASSWORD,
        token: made.json["access_token"] as string,
      };
      expect((await send(base, person, bob)).status).toBe(200);
      expect((await logIn(base, person, receiver.url)).token).toBeTruthy();
    });

    it.each([
      ["no password", { username: "someone", phone_number: "12345" }],
      ["no phone number", { username: "someone", password: PASSWORD }],
      ["no user name", { phone_number: "12345", password: PASSWORD }],
      ["an e-mail address without a full name", { email: "a@b.c", password: PASSWORD }],
      ["a phone number of 4 characters", { username: "someone", phone_number: "1234", password: PASSWORD }],
      ["a phone number of 33 characters", { username: "someone", phone_number: "1".repeat(33), password: PASSWORD }],
      ["a password of 1,025 characters", { username: "someone", phone_number: "12345", password: "p".repeat(1025) }],
      ["a password shorter than the least", { username: "someone", phone_number: "12345", password: "short" }],
      ["a user name with @", { username: "some@one", phone_number: "12345", password: PASSWORD }],
      ["a user name with a leading +", { username: "+one", phone_number: "12345", password: PASSWORD }],
      ["a user name of digits", { username: "12345", phone_number: "12345", password: PASSWORD }],
      ["a number for a user name", { username: 12345, phone_number: "12345", password: PASSWORD }],
      ["an array", [1]],
      ["null", "null"],
      ["nothing", ""],
    ])("answers 400 to %s", async (_name, body) => {
      const answer = await http(`${base}/api/users/`, { body });
      expect([answer.status, answer.text]).toEqual([400, "Validation error."]);
    });

    it("takes a phone number of 5 and of 32 characters, and a password of 1,024", async () => {
      const five = Math.random().toString(36).slice(2, 7).padEnd(5, "x");
      const longest = { username: `${ada.name}-l`, phone_number: ada.name.padEnd(32, "y"), password: "p".repeat(1024) };
      expect(
        (await http(`${base}/api/users/`, { body: { username: `${ada.name}-s`, phone_number: five, password: PASSWORD } }))
          .status,
      ).toBe(201);
      expect((await http(`${base}/api/users/`, { body: longest })).status).toBe(201);
    });

    it("answers 409 to a name that is taken, in whatever spelling", async () => {
      const taken = { username: ada.name.toUpperCase(), phone_number: "other phone", password: PASSWORD };
      expect((await http(`${base}/api/users/`, { body: taken })).status).toBe(409);
      const wide = ada.name.replaceAll(/[a-z]/gu, (letter) => String.fromCodePoint(0xff41 + letter.charCodeAt(0) - 97));
      expect((await http(`${base}/api/users/`, { body: { ...taken, username: wide } })).status).toBe(409);
      const phone = { username: `${ada.name}y`, phone_number: `tel ${ada.name}`, password: PASSWORD };
      expect((await http(`${base}/api/users/`, { body: phone, accept: JSON_ONLY })).json).toMatchObject({
        status: 409,
        code: "taken",
      });
    });

    it("ignores fields that are not known", async () => {
      const body = { username: `${ada.name}z`, phone_number: `p${ada.name}`, password: PASSWORD, shoe_size: 43 };
      expect((await http(`${base}/api/users/`, { body })).status).toBe(201);
    });
  });

  describe("finding a user", () => {
    it("finds by query, and by a JSON body on GET", async () => {
      const expected = { user_id: bob.id, username: bob.name, public_key: null };
      expect((await http(`${base}/api/users/?username=${bob.name}`, { token: ada.token })).json).toMatchObject(expected);
      const byBody = await http(`${base}/api/users/`, {
        method: "GET",
        body: { username: bob.name.toUpperCase() },
        token: ada.token,
      });
      expect([byBody.status, byBody.json["user_id"]]).toEqual([200, bob.id]);
    });

    it("takes an empty body with a JSON type for none", async () => {
      const headers = { "content-type": "application/json" };
      expect((await http(`${base}/api/users/?username=${bob.name}`, { method: "GET", token: ada.token, headers })).status).toBe(
        200,
      );
      const empty = { ...headers, "content-length": "0" };
      expect(
        (await http(`${base}/api/users/?username=${bob.name}`, { method: "GET", token: ada.token, headers: empty })).status,
      ).toBe(200);
    });

    it("answers 404 for nobody, and 400 without a name or with a malformed one", async () => {
      expect((await http(`${base}/api/users/?username=nobody-at-all`, { token: ada.token })).status).toBe(404);
      expect((await http(`${base}/api/users/?username=${encodeURIComponent("@@")}`, { token: ada.token })).status).toBe(404);
      expect((await http(`${base}/api/users/`, { token: ada.token })).status).toBe(400);
      expect((await http(`${base}/api/users/?username=${bob.name}&q=x`, { token: ada.token })).status).toBe(400);
      expect((await http(`${base}/api/users/?username=${"x".repeat(65)}`, { token: ada.token })).status).toBe(400);
      expect((await http(`${base}/api/users/`, { method: "GET", body: { username: 7 }, token: ada.token })).status).toBe(400);
      expect((await http(`${base}/api/users/?username=%00`, { token: ada.token })).status).toBe(400);
    });

    it("gives the public key of the newest session, also after it was signed out", async () => {
      const { token } = await logIn(base, bob, receiver.url);
      await http(`${base}/api/logout/`, { body: { username: bob.name }, token });
      const found = await http(`${base}/api/users/?username=${bob.name}`, { token: ada.token });
      expect(found.json["public_key"]).toBe(`key of ${bob.name}`);
    });
  });

  describe("deleting a user", () => {
    it("deletes one's own account, after which its token is refused", async () => {
      const answer = await http(`${base}/api/users/`, { method: "DELETE", body: { user_id: bob.id }, token: bob.token });
      expect([answer.status, answer.text]).toEqual([200, "User deleted."]);
      const after = await http(`${base}/api/users/?username=${ada.name}`, { token: bob.token });
      expect(after.status).toBe(401);
      expect((await http(`${base}/api/users/?username=${bob.name}`, { token: ada.token })).status).toBe(404);
      expect((await send(base, ada, bob)).status).toBe(400);
    });

    it("answers 403 for another's account, 400 without an id, and 401 without a token", async () => {
      const remove = (body: unknown, token?: string) => http(`${base}/api/users/`, { method: "DELETE", body, token });
      expect((await remove({ user_id: bob.id }, ada.token)).status).toBe(403);
      expect((await remove({}, ada.token)).status).toBe(400);
      expect((await remove({ user_id: String(ada.id) }, ada.token)).status).toBe(400);
      expect((await remove({ user_id: ada.id })).status).toBe(401);
    });

    it("answers in JSON who prefers that", async () => {
      const answer = await http(`${base}/api/users/`, {
        method: "DELETE",
        body: { user_id: bob.id },
        token: bob.token,
        accept: JSON_ONLY,
      });
      expect(answer.json).toEqual({ msg: "User deleted.", user_id: bob.id });
    });
  });

  describe("signing in and out", () => {
    const body = (person: Person, more = {}) => ({
      username: person.name,
      password: person.password,
      user_address: receiver.url,
      public_key: "key",
      ...more,
    });

    it("answers with message, id, token and the secret that pushes are signed with", async () => {
      const answer = await http(`${base}/api/login/`, { body: body(bob, { username: bob.name.toUpperCase() }) });
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ msg: "Login successful.", user_id: bob.id });
      expect(answer.json["token"]).toBe(answer.json["access_token"]);
      expect(answer.json["webhook_secret"]).toMatch(/^whsec_/u);
    });

    it("signs in by phone number, too", async () => {
      expect((await http(`${base}/api/login/`, { body: body(bob, { username: `tel ${bob.name}` }) })).status).toBe(200);
    });

    it.each(["username", "password", "user_address", "public_key"])("answers 400 without %s", async (field) => {
      const answer = await http(`${base}/api/login/`, { body: body(bob, { [field]: undefined }) });
      expect([answer.status, answer.text]).toEqual([400, "Validation error."]);
    });

    it("answers 401 alike to a wrong password and to an unknown user", async () => {
      for (const wrong of [body(bob, { password: "not the one" }), body(bob, { username: "nobody-at-all" })]) {
        const answer = await http(`${base}/api/login/`, { body: wrong });
        expect([answer.status, answer.text]).toEqual([401, "Incorrect username or password."]);
      }
    });

    it("answers 429 with Retry-After after ten wrong passwords for one account, and lets others in", async () => {
      for (let n = 0; n < 10; n += 1) await http(`${base}/api/login/`, { body: body(bob, { password: "wrong wrong" }) });
      const answer = await http(`${base}/api/login/`, { body: body(bob) });
      expect(answer.status).toBe(429);
      expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
      expect((await http(`${base}/api/login/`, { body: body(ada) })).status).toBe(200);
    });

    it("lets in with an address that can not be pushed to", async () => {
      for (const user_address of ["not an address at all", "http://10.0.0.1/", "mailto:a@b.c", "ftp://x"]) {
        const answer = await http(`${base}/api/login/`, { body: body(bob, { user_address }) });
        expect([answer.status, typeof answer.json["address_refusal"]]).toEqual([200, "string"]);
      }
    });

    it("signs out: the token is refused here at once, and by the other listener soon after", async () => {
      const { token } = await logIn(base, bob, receiver.url);
      const find = (url: string) => http(`${url}/api/users/?username=${ada.name}`, { token });
      expect((await find(other)).status).toBe(200);
      const answer = await http(`${base}/api/logout/`, { body: { username: bob.name }, token });
      const at = performance.now();
      expect(answer.json).toEqual({ msg: "Logout successful.", username: bob.name });
      expect((await find(base)).status).toBe(401);
      await waitFor(async () => (await find(other)).status === 401, {
        what: "the other listener to refuse the token",
        timeoutMs: 2_000, // after so long without having seen the revocations, it answers 503
      });
      figure("a revoked token is refused by the other listener after", msSince(at));
    });

    it("answers 400 to signing out under another's name, and 401 without a token", async () => {
      const { token } = await logIn(base, bob, receiver.url);
      expect((await http(`${base}/api/logout/`, { body: { username: ada.name }, token })).status).toBe(400);
      expect((await http(`${base}/api/logout/`, { body: {}, token })).status).toBe(400);
      expect((await http(`${base}/api/logout/`, { body: { username: bob.name } })).status).toBe(401);
    });

    it("gives a repeated refresh the same answer, and ends the session whose refresh token is used after its successor was", async () => {
      const login = await http(`${base}/api/login/`, { body: body(bob) });
      const refresh = () => http(`${base}/api/token/refresh/`, { body: { refresh_token: login.json["refresh_token"] } });
      const next = await refresh();
      expect(next.status).toBe(200);
      // A client that did not get the answer repeats the request.
      const again = await refresh();
      expect([again.status, again.json["refresh_token"]]).toEqual([200, next.json["refresh_token"]]);
      await http(`${base}/api/token/refresh/`, { body: { refresh_token: next.json["refresh_token"] } });
      expect((await refresh()).status).toBe(401);
      const token = next.json["access_token"] as string;
      expect((await http(`${base}/api/users/?username=${ada.name}`, { token })).status).toBe(401);
    });
  });

  describe("sending", () => {
    it("answers 200, the text, and a Location that names the message", async () => {
      const answer = await http(`${base}/api/messages/`, { body: messageBody(ada, bob, "hi there"), token: ada.token });
      expect([answer.status, answer.text]).toEqual([200, "Message processed."]);
      for (const token of [ada.token, bob.token]) {
        const message = await http(base + String(answer.headers.location), { token });
        expect(message.json).toMatchObject({ message: "hi there", sender_id: ada.id, receiver_id: bob.id });
      }
      const third = await register(base);
      expect((await http(base + String(answer.headers.location), { token: third.token })).status).toBe(404);
    });

    it("answers in JSON who prefers that", async () => {
      const { json } = await send(base, ada, bob);
      expect(json).toEqual({
        message_id: expect.stringMatching(/^[0-9a-f-]{36}$/u),
        seq: 1,
        conversation_id: expect.any(Number),
        status: "accepted",
        created_at: expect.stringMatching(/^\d{4}-.*Z$/u),
      });
    });

    it.each(["message", "sender_id", "sender_username", "receiver_id", "send_date"])("answers 400 without %s", async (field) => {
      const answer = await http(`${base}/api/messages/`, {
        body: { ...messageBody(ada, bob), [field]: undefined },
        token: ada.token,
      });
      expect([answer.status, answer.text]).toEqual([400, "Validation error."]);
    });

    it.each([
      ["2026-02-31 10:00:00", 400],
      ["2026-01-02 25:00:00", 400],
      ["yesterday", 400],
      ["2026-01-02 10:00:00", 200],
      ["2026-01-02T10:00:00Z", 200],
      ["2026-01-02T10:00:00.123+02:00", 200],
      ["2024-02-29T10:00:00", 200],
      ["2026-02-29T10:00:00", 400],
    ])("answers a send_date of %s with %i", async (send_date, status) => {
      const body = { ...messageBody(ada, bob), send_date };
      expect((await http(`${base}/api/messages/`, { body, token: ada.token })).status).toBe(status);
    });

    it("answers 401 to another sender than the token's user", async () => {
      const as = (more: object) =>
        http(`${base}/api/messages/`, { body: { ...messageBody(ada, bob), ...more }, token: ada.token });
      expect((await as({ sender_id: bob.id })).status).toBe(401);
      expect((await as({ sender_username: bob.name })).status).toBe(401);
      expect((await as({ sender_username: ada.name.toUpperCase() })).status).toBe(200);
    });

    it("answers 400 to an unknown receiver", async () => {
      expect((await send(base, ada, { id: 999_999_999 })).status).toBe(400);
    });

    it("takes a message of the largest size, in bytes of UTF-8, and answers 413 to one byte more", async () => {
      expect((await send(base, ada, bob, "é".repeat(2048))).status).toBe(200);
      expect((await send(base, ada, bob, `${"é".repeat(2048)}x`)).status).toBe(413);
      expect((await send(base, ada, bob, "\u0001".repeat(4096))).status).toBe(200);
      expect((await send(base, ada, bob, "x".repeat(100_000))).status).toBe(413);
    });

    it("gives a repeat of an Idempotency-Key the first answer, whoever it reaches, and 422 with another body", async () => {
      const key = { "idempotency-key": `key-of-${ada.name}` };
      const first = await send(base, ada, bob, "once", key);
      const again = await send(other, ada, bob, "once", key);
      expect(again.json).toEqual(first.json);
      expect((await send(base, ada, bob, "twice", key)).status).toBe(422);
      expect((await send(base, bob, ada, "once", key)).json["message_id"]).not.toBe(first.json["message_id"]);
      expect((await send(base, ada, bob, "once", { "idempotency-key": "with space" })).status).toBe(400);
      const many = await Promise.all(
        Array.from({ length: 10 }, () => send(base, ada, bob, "race", { "idempotency-key": "race" })),
      );
      expect(new Set(many.map((answer) => answer.json["message_id"])).size).toBe(1);
    });

    it("checks the token before it looks at the body", async () => {
      for (const body of ["{", {}, "x".repeat(1_000_000)]) {
        expect((await http(`${base}/api/messages/`, { body, token: "nonsense" })).status).toBe(401);
      }
    });

    it("refuses every token that is none", async () => {
      const now = Math.floor(Date.now() / 1000);
      const { sid } = JSON.parse(Buffer.from(ada.token.split(".")[1] as string, "base64url").toString()) as { sid: number };
      const [own] = createKeyring({ secret: SECRET, random: systemRandom }).tokenKeys;
      const sign = (more: { key?: Uint8Array; alg?: string; issuedAt?: number; expiresAt?: number; audience?: string }) =>
        new SignJWT({ sid, name: ada.name, role: "user" })
          .setProtectedHeader({ alg: more.alg ?? "HS256" })
          .setIssuer("messenger")
          .setAudience(more.audience ?? "messenger-api")
          .setSubject(String(ada.id))
          .setIssuedAt(more.issuedAt ?? now)
          .setExpirationTime(more.expiresAt ?? now + 600)
          .sign(more.key ?? (own as Uint8Array));
      const good = await http(`${base}/api/messages/`, { body: messageBody(ada, bob), token: await sign({}) });
      expect(good.status).toBe(200); // so what is refused below is refused for what differs
      const another = new Uint8Array(32).fill(7);
      const none = [
        { alg: "none", typ: "JWT" },
        {
          sub: String(ada.id),
          sid,
          name: ada.name,
          role: "user",
          iss: "messenger",
          aud: "messenger-api",
          iat: now,
          exp: now + 600,
        },
      ]
        .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
        .join(".");
      const [head, claims, signature] = ada.token.split(".") as [string, string, string];
      const authorizations = [
        "",
        "Bearer",
        "Bearer ",
        `Basic ${ada.token}`,
        ada.token,
        `Bearer ${ada.token} ${ada.token}`,
        `Bearer ${none}.`,
        `Bearer ${head}.${claims}.`,
        `Bearer ${head}.${claims}.${signature.slice(0, -2)}xx`,
        `Bearer ${await sign({ key: another })}`,
        `Bearer ${await sign({ key: new Uint8Array(64).fill(7), alg: "HS512" })}`,
        `Bearer ${await sign({ issuedAt: now - 700, expiresAt: now - 100 })}`, // expired
        `Bearer ${await sign({ issuedAt: now - 100, expiresAt: now })}`, // this second
        `Bearer ${await sign({ audience: "somebody else" })}`,
        "Bearer a.b.c",
        "Bearer \u00e9",
      ];
      for (const authorization of authorizations) {
        const answer = await http(`${base}/api/messages/`, { body: messageBody(ada, bob), headers: { authorization } });
        expect([authorization, answer.status]).toEqual([authorization, 401]);
        expect(answer.headers["www-authenticate"]).toContain("Bearer");
      }
      expect((await http(`${base}/api/messages/`, { body: messageBody(ada, bob) })).status).toBe(401);
    });
  });

  describe("being pushed to", () => {
    it("gets the contract's fields and its own, signed by Standard Webhooks", async () => {
      const { webhookSecret } = await logIn(base, bob, `${receiver.url}/hook`);
      const id = await sendSurely(base, ada, bob, 'quoted " and ünicode');
      const [push] = await waitFor(() => (receiver.arrivals.length > 0 ? receiver.arrivals : undefined), { what: "a push" });
      expect(push?.path).toBe("/hook");
      expect(Value.Check(PushBody, push?.body)).toBe(true);
      expect(push?.body).toMatchObject({
        ...messageBody(ada, bob, 'quoted " and ünicode'),
        type: "message.created",
        id,
        seq: 1,
      });
      expect(push?.headers).toMatchObject({ "webhook-id": id, "content-type": "application/json" });
      new Webhook(webhookSecret).verify(push?.rawBody as string, push?.headers as Record<string, string>);
    });

    it("is reached by a bare host and port", async () => {
      await logIn(base, bob, receiver.url.replace("http://", ""));
      await sendSurely(base, ada, bob);
      await waitFor(() => receiver.arrivals.length === 1, { what: "a push" });
    });

    it("gets what was sent before the first log-in at once, and once only", async () => {
      const ids = [await sendSurely(base, ada, bob), await sendSurely(base, ada, bob)];
      await logIn(base, bob, receiver.url);
      const at = performance.now();
      // The relay would not look for it before 5 s.
      await waitFor(() => receiver.arrivals.length === 2, { what: "both pushes", timeoutMs: 4_000 });
      figure("what was sent before the first log-in has arrived after", msSince(at));
      const last = await sendSurely(base, ada, bob);
      await waitFor(() => receiver.arrivals.length >= 3, { what: "the third push" });
      expect(receiver.arrivals.map((arrival) => arrival.id)).toEqual([...ids, last]);
    });

    it("gets nothing after it signed out, and goes on from there when it signs in again", async () => {
      const { token } = await logIn(base, bob, receiver.url);
      await sendSurely(base, ada, bob, "one");
      await waitFor(() => receiver.arrivals.length === 1, { what: "the first push" });
      await http(`${base}/api/logout/`, { body: { username: bob.name }, token });
      await sendSurely(base, ada, bob, "two");
      const witness = await register(base);
      await logIn(base, witness, `${receiver.url}/witness`);
      await sendSurely(base, ada, witness);
      await waitFor(() => receiver.arrivals.some((arrival) => arrival.path === "/witness"), { what: "the witness's push" });
      expect(receiver.arrivals.filter((arrival) => arrival.path === "/")).toHaveLength(1);
      await logIn(base, bob, receiver.url);
      await waitFor(() => receiver.arrivals.filter((arrival) => arrival.path === "/").length === 2, { what: "what was missed" });
      expect(receiver.arrivals.at(-1)?.body["message"]).toBe("two");
    });

    it("has two valid secrets after it signed in again", async () => {
      const first = await logIn(base, bob, receiver.url);
      const second = await logIn(base, bob, receiver.url);
      await sendSurely(base, ada, bob);
      const [push] = await waitFor(() => (receiver.arrivals.length > 0 ? receiver.arrivals : undefined), { what: "a push" });
      for (const { webhookSecret } of [first, second]) {
        new Webhook(webhookSecret).verify(push?.rawBody as string, push?.headers as Record<string, string>);
      }
    });
  });

  it("answers what is not there with problem details", async () => {
    const answer = await http(`${base}/api/nothing`);
    expect(answer.headers["content-type"]).toContain("application/problem+json");
    expect(answer.json).toMatchObject({ status: 404, code: "no_such_route", request_id: answer.headers["x-request-id"] });
  });

  it("describes every answer that was given to these tests", async () => {
    interface Described {
      paths: Record<string, Record<string, { responses: Record<string, { content?: object }> }>>;
    }
    const { paths } = (await http(`${base}/api/openapi.json`)).json as unknown as Described;
    const templates = Object.keys(paths).map((path) => ({
      path,
      form: new RegExp(`^${path.replace(/\{\w+\}/gu, "[^/]+")}$`, "u"),
    }));
    const undescribed = [...answered].filter((line) => {
      const [method, path, status, type] = line.split(" ") as [string, string, string, string];
      const template = templates.find(({ form }) => form.test(path))?.path ?? "";
      const operation = paths[template]?.[method];
      if (operation === undefined) return false; // there is no such route, or it is not for programs
      return !Object.keys(operation.responses[status]?.content ?? {}).includes(type);
    });
    expect(undescribed).toEqual([]);
    expect([...answered].filter((line) => / 4\d\d /u.test(line)).length).toBeGreaterThan(15);
  });
});
