import { type Answer, http, PASSWORD, type Person, register, waitFor } from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployListener, deployments } from "./deployments.ts";
import { type Relay, startRelay } from "./relay.ts";
import { totp } from "./totp.ts";

it("the test's own codes are those of RFC 6238, appendix B", () => {
  const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"; // 12345678901234567890
  expect([59, 1_111_111_109, 20_000_000_000].map((s) => totp(secret, s * 1000))).toEqual(["287082", "081804", "353130"]);
});

describe.each(deployments)("signing in, $name", ({ deploy }) => {
  let deployment: Deployment;
  let relay: Relay;
  let base: string;
  let ada: Person;

  beforeAll(async () => {
    relay = await startRelay();
    const email = { smtpUrl: `smtp://127.0.0.1:${relay.port}`, from: "Messenger <m@example.org>" };
    deployment = await deploy({ providers: { email } });
    base = deployment.urls[0] as string;
  });
  afterAll(async () => {
    await deployment.close();
    await relay.stop();
  });
  beforeEach(async () => {
    ada = await register(base);
  });

  let turn = 0;
  /** Asks one listener after the other. */
  function call(method: string, path: string, body: unknown, by?: Person): Promise<Answer> {
    turn += 1;
    const url = deployment.urls[turn % deployment.urls.length] as string;
    return http(`${url}/api/${path}`, { method, body, accept: "application/json", ...(by && { token: by.token }) });
  }
  const start = (more: object = {}): Promise<Answer> =>
    call("POST", "sessions", { username: ada.name, password: PASSWORD, ...more });

  describe("with an authenticator", () => {
    /** Sets one up; the code of the present step is used then. */
    async function setUp(): Promise<{ secret: string; at: number; recovery: string[] }> {
      const begun = await call("POST", "users/me/totp", { password: PASSWORD }, ada);
      expect(begun).toMatchObject({ status: 201, json: { uri: expect.stringMatching(/^otpauth:\/\/totp\//u) as string } });
      const secret = begun.json["secret"] as string;
      expect(begun.json["uri"]).toContain(`secret=${secret}`);
      const at = Date.now();
      const confirmed = await call("POST", "users/me/totp/confirm", { code: totp(secret, at) }, ada);
      expect(confirmed).toMatchObject({ status: 200 });
      return { secret, at, recovery: confirmed.json["recovery_codes"] as string[] };
    }

    it("log-ins need a code, too, from then on, each of which is good once", async () => {
      const { secret, at } = await setUp();
      expect((await call("GET", "users/me", undefined, ada)).json).toMatchObject({ totp: true });
      expect(await call("POST", "users/me/totp", { password: PASSWORD }, ada)).toMatchObject({ status: 409 });
      expect(await call("POST", "users/me/totp/confirm", { code: totp(secret, at) }, ada)).toMatchObject({ status: 409 });

      expect(await start()).toMatchObject({ status: 401, json: { code: "code_needed" } });
      expect(await start({ password: "wrong" })).toMatchObject({ status: 401, json: { code: "wrong_credentials" } });
      const login = { username: ada.name, password: PASSWORD, user_address: "http://127.0.0.1:9/", public_key: "k" };
      const byContract = await http(`${base}/api/login/`, { body: login });
      expect([byContract.status, byContract.text]).toEqual([401, "A code of your authenticator is needed, too."]);
      const byDoor = await http(`${base}/auth/login`, { body: { email: ada.name, password: PASSWORD } });
      expect([byDoor.status, byDoor.json]).toEqual([401, { detail: "Invalid credentials" }]);

      // The code that confirmed it was used; that of the step after it was not.
      expect(await start({ totp_code: totp(secret, at) })).toMatchObject({
        status: 401,
        json: { code: "code_needed", detail: expect.stringContaining("used before") as string },
      });
      const next = totp(secret, at + 30_000);
      const both = await Promise.all([start({ totp_code: next }), start({ totp_code: next })]);
      expect(both.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([201, 401]);
      expect(await start({ totp_code: totp(secret, at + 120_000) })).toMatchObject({ status: 401 });
    });

    it("recovery codes stand in for one, once each, and delete it with the password", async () => {
      const { recovery } = await setUp();
      expect(new Set(recovery).size).toBe(10);
      const [first, second] = recovery as [string, string];
      expect(await start({ totp_code: first.toUpperCase() })).toMatchObject({ status: 201 });
      expect(await start({ totp_code: first })).toMatchObject({ status: 401 });
      const remove = (password: string, code: string) => call("DELETE", "users/me/totp", { password, code }, ada);
      expect(await remove("wrong", second)).toMatchObject({ status: 403 });
      expect(await remove(PASSWORD, first)).toMatchObject({ status: 400, json: { code: "wrong_code" } });
      expect(await remove(PASSWORD, second)).toMatchObject({ status: 204 });
      expect(await start()).toMatchObject({ status: 201 });
    });

    it("one that is not confirmed is asked for by nobody", async () => {
      const begun = await call("POST", "users/me/totp", { password: PASSWORD }, ada);
      expect(await start()).toMatchObject({ status: 201 });
      const again = await call("POST", "users/me/totp", { password: PASSWORD }, ada);
      expect(again.json["secret"]).not.toBe(begun.json["secret"]);
      const old = totp(begun.json["secret"] as string, Date.now());
      expect(await call("POST", "users/me/totp/confirm", { code: old }, ada)).toMatchObject({ status: 400 });
    });
  });

  describe("a forgotten password", () => {
    const address = () => `${ada.name}@example.org`;
    const mails = () => relay.mails.filter(({ to }) => to === address());
    const codeIn = () => /\b\d{6}\b/u.exec(mails().at(-1)?.text ?? "")?.[0] ?? "";
    const request = (username = ada.name) => call("POST", "password-resets", { username });
    const confirm = (code: string, password = "a better one than before", username = ada.name) =>
      call("POST", "password-resets/confirm", { username, code, password });

    async function verifyContact(): Promise<number> {
      const made = await call("POST", "contacts", { type: "email", recipient: address() }, ada);
      await waitFor(() => mails().length === 1, { what: "the code of the contact" });
      const id = String(made.json["contact_id"]);
      expect(await call("POST", `contacts/${id}/verify`, { code: codeIn() }, ada)).toMatchObject({ status: 200 });
      return Number(id);
    }

    it("stays what it was, and one signs in by a verified address, too, once one wants that", async () => {
      const change = (contact_id: number | null, by = ada, password = PASSWORD): Promise<Answer> =>
        call("PUT", "users/me/email", { contact_id, password }, by);
      const id = await verifyContact();
      expect(await start({ username: address() })).toMatchObject({ status: 401 });
      expect(await change(id, ada, "wrong")).toMatchObject({ status: 403, json: { code: "wrong_password" } });
      expect(await change(id)).toMatchObject({ status: 200, json: { email: address(), username: ada.name } });
      expect(await start({ username: address().toUpperCase() })).toMatchObject({ status: 201 });
      expect(await call("PUT", "users/me/phone", { contact_id: id, password: PASSWORD }, ada)).toMatchObject({
        status: 404,
        json: { code: "no_such_contact" },
      });
      expect(await change(null)).toMatchObject({ status: 200, json: { email: null } });
      expect(await start({ username: address() })).toMatchObject({ status: 401 });

      // Somebody else has it already, has not verified theirs, or has nothing else to be known by.
      const mailed = await http(`${base}/api/users/`, { body: { email: address(), full_name: "Another", password: PASSWORD } });
      expect(mailed.status).toBe(201);
      expect(await change(id)).toMatchObject({ status: 409, json: { code: "taken" } });
      const other: Person = { ...ada, token: String(mailed.json["access_token"]) };
      expect(await change(null, other)).toMatchObject({ status: 400, json: { code: "validation_error" } });
      const unverified = await call("POST", "contacts", { type: "email", recipient: `x-${address()}` }, other);
      expect(await change(Number(unverified.json["contact_id"]), other)).toMatchObject({ json: { code: "not_verified" } });
      expect(await change(id, other)).toMatchObject({ status: 404, json: { code: "no_such_contact" } });
    });

    it("is replaced by a code that was sent to a verified address, and all sessions end", async () => {
      await verifyContact();
      expect(await request()).toMatchObject({ status: 202 });
      await waitFor(() => mails().length === 2, { what: "the code" });
      expect(mails().at(-1)?.text).toContain("has forgotten the password");
      expect(await confirm(codeIn() === "000000" ? "000001" : "000000")).toMatchObject({
        status: 400,
        json: { code: "wrong_code" },
      });
      expect(await confirm(codeIn(), "password")).toMatchObject({ status: 400, json: { code: "validation_error" } });
      expect(await confirm(codeIn())).toMatchObject({ status: 204 });
      expect(await confirm(codeIn(), "and another one")).toMatchObject({ status: 400, json: { code: "wrong_code" } });
      expect(await start()).toMatchObject({ status: 401 });
      expect(await start({ password: "a better one than before" })).toMatchObject({ status: 201 });
      await waitFor(async () => (await call("GET", "users/me", undefined, ada)).status === 401, { what: "its sessions to end" });
    });

    it("stays after five wrong codes, whatever comes then", async () => {
      await verifyContact();
      await request();
      await waitFor(() => mails().length === 2, { what: "the code" });
      const wrong = codeIn() === "111111" ? "222222" : "111111";
      for (let n = 0; n < 5; n += 1) expect(await confirm(wrong)).toMatchObject({ status: 400 });
      expect(await confirm(codeIn())).toMatchObject({ status: 400, json: { code: "wrong_code" } });
      expect(await start()).toMatchObject({ status: 201 });
    });

    it("is asked for alike where there is nobody, or no verified address", async () => {
      const unverified = await call("POST", "contacts", { type: "email", recipient: address() }, ada);
      expect(unverified).toMatchObject({ status: 201 });
      await waitFor(() => mails().length === 1, { what: "the code of the contact" });
      const [known, unknown] = [await request(), await request("nobody-at-all")];
      expect([known.status, known.text]).toEqual([unknown.status, unknown.text]);
      const [ofKnown, ofUnknown] = [await confirm("123456"), await confirm("123456", "a better one", "nobody-at-all")];
      expect([ofKnown.status, ofKnown.json["detail"]]).toEqual([ofUnknown.status, ofUnknown.json["detail"]]);
      // Something else that is sent comes after it, and it has not come.
      const other = await register(base);
      await call("POST", "contacts", { type: "email", recipient: `${other.name}@example.org` }, other);
      await waitFor(() => relay.mails.some(({ to }) => to === `${other.name}@example.org`), { what: "another mail" });
      expect(mails()).toHaveLength(1);
    });
  });
});

describe("codes for forgotten passwords", () => {
  it("are asked for, and tried, no more often than it should be", async () => {
    const deployed = await deployListener();
    try {
      const ask = (path: string, body: object) =>
        http(`${deployed.url}/api/password-resets/${path}`, { body, accept: "application/json" });
      for (let n = 0; n < 10; n += 1) expect((await ask("", { username: `n${n}` })).status).toBe(202);
      expect(await ask("", { username: "another" })).toMatchObject({ status: 429, json: { code: "too_many_attempts" } });
      const guess = { username: "n1", code: "123456", password: "a better one than before" };
      for (let n = 0; n < 30; n += 1) expect((await ask("confirm/", guess)).status).toBe(400);
      expect(await ask("confirm/", guess)).toMatchObject({ status: 429 });
    } finally {
      await deployed.close();
    }
  });
});
