import { newInvitation, tokenHash } from "@messenger/runtime";
import { systemRandom } from "@messenger/core";
import { createInvitation } from "@messenger/store";
import { type Answer, http, PASSWORD, waitFor } from "@messenger/testkit";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployListener, deployments } from "./deployments.ts";
import { type Relay, startRelay } from "./relay.ts";

const word = (): string => Math.random().toString(36).slice(2);
const named = () => ({
  username: `n${word()}`,
  phone_number: `+49 30 ${Math.floor(1e7 + Math.random() * 8e7)}`,
  password: PASSWORD,
});
const mailed = (email: string) => ({ email, full_name: "Somebody", password: PASSWORD });

describe("registration", () => {
  it("is closed where its operator wants that, to all who ask", async () => {
    const { url, close } = await deployListener({ registration: "closed" });
    try {
      const refused = await http(`${url}/api/users/`, { body: named(), accept: "application/json" });
      expect(refused).toMatchObject({ status: 403, json: { code: "registration_closed" } });
      expect(await http(`${url}/api/users/`, { body: named() })).toMatchObject({ status: 403, text: "Registration is closed." });
      expect(await http(`${url}/auth/register`, { body: mailed("ada@example.org") })).toMatchObject({ status: 403 });
    } finally {
      await close();
    }
  });

  it("is for e-mail addresses of some domains where its operator wants that", async () => {
    const { url, close } = await deployListener({ emailDomains: ["Example.org", "example.com"] });
    try {
      const status = async (body: object) => (await http(`${url}/api/users/`, { body })).status;
      expect(await status(mailed("ada@example.org"))).toBe(201);
      expect(await status({ ...named(), email: "bob@EXAMPLE.com" })).toBe(201);
      for (const email of [
        "eve@example.net",
        "eve@sub.example.org",
        "eve@example.org.example.net",
        '"a@example.org"@example.net',
      ]) {
        expect([email, await status(mailed(email))]).toEqual([email, 403]);
      }
      expect(await status(named())).toBe(403);
    } finally {
      await close();
    }
  });

  it("is for those who are invited where its operator wants that, by one invitation each", async () => {
    const { url, database, close } = await deployListener({ registration: "invited" });
    try {
      const { db } = database.store;
      const invite = async (): Promise<string> => {
        const invitation = newInvitation(systemRandom);
        await createInvitation(db, "test", tokenHash(invitation), 7);
        return invitation;
      };
      const signUp = (body: object): Promise<Answer> => http(`${url}/api/users/`, { body, accept: "application/json" });
      const refused = { status: 403, json: { code: "registration_closed" } };

      expect(await signUp(named())).toMatchObject(refused);
      expect(await http(`${url}/auth/register`, { body: mailed("ada@example.org") })).toMatchObject({ status: 403 });
      expect(await signUp({ ...named(), invitation: "mi_nothing" })).toMatchObject(refused);
      const ended = await invite();
      await sql`update invitations set expires_at = now()`.execute(db);
      expect(await signUp({ ...named(), invitation: ended })).toMatchObject(refused);

      // A name that is taken uses up nothing; of many at once, one comes in.
      const [ada, invitation] = [named(), await invite()];
      expect(await signUp({ ...ada, invitation })).toMatchObject({ status: 201 });
      const other = await invite();
      expect(await signUp({ ...ada, phone_number: named().phone_number, invitation: other })).toMatchObject({ status: 409 });
      const crowd = await Promise.all(Array.from({ length: 8 }, () => signUp({ ...named(), invitation: other })));
      expect(crowd.filter(({ status }) => status === 201)).toHaveLength(1);
      expect(crowd.filter(({ status }) => status === 403)).toHaveLength(7);
      expect(await signUp({ ...named(), invitation })).toMatchObject(refused);
    } finally {
      await close();
    }
  });
});

describe.each(deployments)("registration where addresses are verified, $name", ({ deploy }) => {
  let deployment: Deployment;
  let relay: Relay;

  beforeAll(async () => {
    relay = await startRelay();
    deployment = await deploy({
      settings: { signUpAddresses: "verified" },
      providers: { email: { smtpUrl: `smtp://127.0.0.1:${relay.port}`, from: "Messenger <m@example.org>" } },
    });
    await waitFor(async () => (await signUp({ ...account(), email: `${word()}@example.org` })).status === 201, {
      what: "a sender that delivers e-mails",
    });
  });
  afterAll(async () => {
    await deployment.close();
    await relay.stop();
  });

  const base = (): string => deployment.urls[0] as string;
  const account = () => ({ username: `n${word()}`, password: PASSWORD });
  const signUp = (body: object): Promise<Answer> => http(`${base()}/api/users/`, { body, accept: "application/json" });
  const call = (method: string, path: string, token: unknown, body?: object): Promise<Answer> =>
    http(`${base()}/api/${path}`, { method, token: String(token), ...(body === undefined ? undefined : { body }) });
  const me = async (token: unknown): Promise<Record<string, unknown>> => (await call("GET", "users/me/", token)).json;
  const codesTo = (email: string): string[] =>
    relay.mails.filter(({ to }) => to === email).map(({ text }) => /\b\d{6}\b/u.exec(text)?.[0] ?? "");
  /** Gives the code back that came to an address. */
  async function verify(token: unknown, email: string, n = 0): Promise<void> {
    const code = await waitFor(() => codesTo(email)[n], { what: "a code" });
    const { json } = await call("GET", "contacts/", token);
    const [contact] = json["contacts"] as { contact_id: number }[];
    expect((await call("POST", `contacts/${String(contact?.contact_id)}/verify/`, token, { code })).status).toBe(200);
  }

  it("has one sign in by an address once its code was given back, and not before", async () => {
    const email = `${word()}@example.org`;
    const ada = account();
    const { json } = await signUp({ ...ada, email });
    const logIn = (): Promise<Answer> => http(`${base()}/api/sessions/`, { body: { username: email, password: PASSWORD } });
    expect(await me(json["access_token"])).toMatchObject({ username: ada.username, email: null });
    expect((await logIn()).status).toBe(401);
    await verify(json["access_token"], email);
    expect(await me(json["access_token"])).toMatchObject({ username: ada.username, email });
    expect((await logIn()).status).toBe(201);
  });

  it("has one sign in by an address as one types it, and as it is sent to", async () => {
    const name = word();
    const { json } = await signUp({ ...account(), email: `${name}@münchen.example` });
    await verify(json["access_token"], `${name}@münchen.example`);
    for (const username of [`${name}@münchen.example`, `${name.toUpperCase()}@xn--mnchen-3ya.example`]) {
      expect((await http(`${base()}/api/sessions/`, { body: { username, password: PASSWORD } })).status).toBe(201);
    }
  });

  it("tells nobody who has an account", async () => {
    const [known, unknown] = [`${word()}@example.org`, `${word()}@example.org`];
    const ada = await signUp({ ...account(), email: known });
    await verify(ada.json["access_token"], known);
    const shape = ({ status, json, headers }: Answer): unknown => {
      const names = Object.fromEntries(Object.entries(json).map(([name, value]) => [name, typeof value]));
      return { status, names, headers: Object.keys(headers).toSorted() };
    };
    const [ofKnown, ofUnknown] = [await signUp({ ...account(), email: known }), await signUp({ ...account(), email: unknown })];
    expect(shape(ofKnown)).toEqual(shape(ofUnknown));
    // Both have a contact that waits for its code, and both are sent one.
    for (const [{ json }, email] of [
      [ofKnown, known],
      [ofUnknown, unknown],
    ] as const) {
      expect(await me(json["access_token"])).toMatchObject({ email: null, phone_number: null });
      const { contacts } = (await call("GET", "contacts/", json["access_token"])).json;
      expect(contacts).toMatchObject([{ recipient: email, state: "unverified" }]);
    }
    await waitFor(() => codesTo(known).length === 2 && codesTo(unknown).length === 1, { what: "both codes" });
    // Whoever has shown that the address is theirs may know; it stays the first one's.
    await verify(ofKnown.json["access_token"], known, 1);
    expect(await me(ofKnown.json["access_token"])).toMatchObject({ email: null });
    expect(await me(ada.json["access_token"])).toMatchObject({ email: known });
  });

  it("needs a user name, which others see anyway", async () => {
    const email = `${word()}@example.org`;
    expect(await signUp(mailed(email))).toMatchObject({ status: 400, json: { code: "validation_error" } });
    expect((await http(`${base()}/auth/register`, { body: mailed(email) })).status).toBe(422);
    const ada = account();
    expect((await signUp(ada)).status).toBe(201);
    expect(await signUp(ada)).toMatchObject({ status: 409, json: { code: "taken" } });
  });

  it("is refused with an address that nobody delivers to, before there is an account", async () => {
    const ada = account();
    expect(await signUp({ ...ada, phone_number: "+49 30 1234567" })).toMatchObject({ json: { code: "no_such_channel" } });
    expect(await signUp({ ...ada, email: "nothing" })).toMatchObject({ json: { code: "validation_error" } });
    expect((await signUp(ada)).status).toBe(201);
  });
});
