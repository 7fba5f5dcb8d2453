import { type Answer, http, PASSWORD, register } from "@messenger/testkit";
import { suspendUser } from "@messenger/store";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments, newPart, openListener } from "./deployments.ts";
import { type Account, startProvider, type TestProvider } from "./oidc-provider.ts";

const REDIRECT = "http://127.0.0.1:4711/signed-in";
const SECOND = "http://127.0.0.1:4712/signed-in";

let names = 0;
const somebody = (more: Partial<Account> = {}): Account => {
  names += 1;
  const name = `o${Date.now().toString(36)}x${names}`;
  return { sub: `subject ${name}`, preferred_username: name, name: `Full ${name}`, ...more };
};

describe.each(deployments)("signing in through a provider, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;
  let provider: TestProvider;
  let second: TestProvider;

  beforeAll(async () => {
    provider = await startProvider([REDIRECT]);
    second = await startProvider([SECOND]);
    const of = (name: string, { issuer, client }: TestProvider) => ({
      name,
      title: `The ${name} one`,
      issuer,
      clientId: client.client_id,
      clientSecret: client.client_secret,
    });
    const oidcProviders = [
      of("first", provider),
      of("second", second),
      { ...of("nobody", provider), issuer: "http://127.0.0.1:1" },
    ];
    deployment = await deploy({ settings: { oidcProviders } });
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
  });
  afterAll(async () => {
    await deployment.close();
    await provider.close();
    await second.close();
  });
  beforeEach(() => {
    Object.assign(provider, { lie: undefined, takesCodesAgain: false, isAway: false });
  });

  const post = (path: string, body: object, token?: string): Promise<Answer> =>
    http(`${base}/api/${path}/`, { body, accept: "application/json", ...(token === undefined ? undefined : { token }) });
  const begin = async (name = "first", redirectUri = REDIRECT): Promise<{ authorization_url: string; flow: string }> => {
    const begun = await post(`oidc/${name}`, { redirect_uri: redirectUri });
    expect(begun.status).toBe(201);
    return begun.json as { authorization_url: string; flow: string };
  };
  /** All that whoever signs in has, before it is ended. */
  const arrive = async (account: Account): Promise<{ flow: string; callback_url: string }> => {
    const { authorization_url: url, flow } = await begin();
    return { flow, callback_url: await provider.signIn(url, account) };
  };
  const signIn = async (account: Account): Promise<Answer> => post("oidc/first/sessions", await arrive(account));
  const account = async (token: unknown): Promise<Answer> => http(`${base}/api/users/me/`, { token: String(token) });

  it("says which there are", async () => {
    const { json } = await http(`${base}/api/oidc/`);
    expect(json["providers"]).toContainEqual({ provider: "first", title: "The first one", issuer: provider.issuer });
  });

  it("makes an account the first time, and signs in to the same one from then on, at any listener", async () => {
    const ada = somebody({ email: `${Date.now()}@example.org`, email_verified: true });
    const first = await signIn(ada);
    expect(first.status).toBe(201);
    expect((await account(first.json["access_token"])).json).toMatchObject({
      user_id: first.json["user_id"],
      username: ada.preferred_username,
      full_name: ada.name,
      email: ada.email,
    });
    const arrived = await arrive({ ...ada, preferred_username: "another", email: "other@example.org" });
    const again = await http(`${other}/api/oidc/first/sessions/`, { body: { ...arrived, device_name: "a phone" } });
    expect(again).toMatchObject({ status: 201, json: { user_id: first.json["user_id"] } });
    const sessions = await http(`${base}/api/sessions/`, { token: String(again.json["access_token"]) });
    expect((sessions.json["sessions"] as object[])[0]).toMatchObject({ device_name: "a phone", is_current: true });
  });

  it("asks by PKCE, state and nonce, each time anew", async () => {
    const asked = await Promise.all([begin(), begin()]);
    const queries = asked.map(({ authorization_url: url }) => new URL(url).searchParams);
    for (const query of queries) {
      expect(Object.fromEntries(query)).toMatchObject({ response_type: "code", code_challenge_method: "S256" });
      expect(query.get("scope")?.split(" ")).toContain("openid");
    }
    for (const name of ["state", "nonce", "code_challenge"]) expect(queries[0]?.get(name)).not.toBe(queries[1]?.get(name));
  });

  it("takes no name, and no e-mail address, that somebody else has", async () => {
    const taken = await register(base);
    const email = `${Date.now()}-taken@example.org`;
    const owner = await post("users", { email, full_name: "The owner", password: PASSWORD });
    const mallory = await signIn(somebody({ preferred_username: taken.name, email, email_verified: true }));
    expect(mallory.status).toBe(201);
    expect(mallory.json["user_id"]).not.toBe(owner.json["user_id"]);
    const { json } = await account(mallory.json["access_token"]);
    expect(json["email"]).toBeNull();
    expect(json["username"]).toMatch(new RegExp(`^${taken.name}-[0-9a-f]{8}$`, "u"));
  });

  it.each([
    [
      "an address that the provider has not verified",
      { email: "unverified@example.org", email_verified: false },
      { email: null },
    ],
    [
      "a name that is reserved",
      { preferred_username: "admin" },
      { username: expect.stringMatching(/^user-[0-9a-f]{8}$/u) as string },
    ],
    ["no name at all", { preferred_username: undefined, name: undefined }, { full_name: null }],
    ["a name that is none", { preferred_username: "a\u202eb" }, { username: expect.stringMatching(/^user-/u) as string }],
  ])("leaves out %s", async (_what, more, expected) => {
    const made = await signIn(somebody(more));
    expect((await account(made.json["access_token"])).json).toMatchObject(expected);
  });

  const refused = { status: 401, json: { code: "not_vouched_for" } };

  it.each<[string, (is: TestProvider) => TestProvider["lie"]]>([
    ["of another issuer", (is) => is.claiming({ iss: "https://other.example" })],
    ["for another client", (is) => is.claiming({ aud: "another" })],
    ["for several, of which another asked", (is) => is.claiming({ aud: ["messenger", "another"], azp: "another" })],
    ["with another nonce", (is) => is.claiming({ nonce: "another" })],
    ["without a nonce", (is) => is.claiming({ nonce: undefined })],
    ["without a subject", (is) => is.claiming({ sub: undefined })],
    ["with a subject that is too long", (is) => is.claiming({ sub: "x".repeat(256) })],
    ["that has ended", (is) => is.claiming({ exp: Math.floor(Date.now() / 1000) - 600 })],
    [
      "from the future",
      (is) => is.claiming({ iat: Math.floor(Date.now() / 1000) + 600, nbf: Math.floor(Date.now() / 1000) + 600 }),
    ],
    ["that nobody signed", (is) => is.unsigned],
    ["signed by somebody else", (is) => is.forged],
    ["that is none", () => async () => "no token"],
  ])("believes no ID token %s", async (_what, lieOf) => {
    const arrived = await arrive(somebody());
    provider.lie = lieOf(provider);
    expect(await post("oidc/first/sessions", arrived)).toMatchObject(refused);
  });

  it("believes a provider that has changed its keys a moment ago", async () => {
    const ada = somebody();
    const before = await signIn(ada);
    await provider.rotateKeys();
    expect(await signIn(ada)).toMatchObject({ status: 201, json: { user_id: before.json["user_id"] } });
  });

  it("takes a code once, even if the provider takes it twice", async () => {
    const arrived = await arrive(somebody());
    expect((await post("oidc/first/sessions", arrived)).status).toBe(201);
    expect(await post("oidc/first/sessions", arrived)).toMatchObject(refused);
    const later = await arrive(somebody());
    provider.takesCodesAgain = true;
    const both = await Promise.all([post("oidc/first/sessions", later), post("oidc/first/sessions", later)]);
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 401]);
    expect(await post("oidc/first/sessions", later)).toMatchObject(refused);
  });

  it("ends no sign-in that somebody else began", async () => {
    const [mine, theirs] = [await arrive(somebody()), await arrive(somebody())];
    expect(await post("oidc/first/sessions", { flow: mine.flow, callback_url: theirs.callback_url })).toMatchObject(refused);
    expect(await post("oidc/first/sessions", { ...mine, flow: `${mine.flow.slice(0, -4)}AAAA` })).toMatchObject(refused);
    expect(await post("oidc/first/sessions", { ...mine, flow: "nothing" })).toMatchObject(refused);
    expect(await post("oidc/second/sessions", mine)).toMatchObject(refused);
    const without = new URL(mine.callback_url);
    without.searchParams.delete("state");
    expect(await post("oidc/first/sessions", { ...mine, callback_url: without.href })).toMatchObject(refused);
    expect(await post("oidc/first/sessions", { ...mine, callback_url: "no URL" })).toMatchObject({ status: 400 });
  });

  it("says that the provider refused, in its words", async () => {
    const { flow, authorization_url: url } = await begin();
    const callback = new URL(REDIRECT);
    const state = new URL(url).searchParams.get("state") as string;
    callback.search = new URLSearchParams({
      error: "access_denied",
      error_description: "the user said no",
      state,
      iss: provider.issuer,
    }).toString();
    const answer = await post("oidc/first/sessions", { flow, callback_url: callback.href });
    expect(answer).toMatchObject({ ...refused, json: { detail: "the provider refused: access_denied the user said no" } });
  });

  it("sends a browser to no other place", async () => {
    for (const uri of ["https://evil.example/", "http://192.0.2.1/", "javascript:alert(1)", `${REDIRECT}?next=evil`, "nothing"]) {
      expect([uri, (await post("oidc/first", { redirect_uri: uri })).status]).toEqual([uri, 400]);
    }
    expect((await post("oidc/first", { redirect_uri: "https://messenger.test/app/signed-in" })).status).toBe(201);
  });

  it("goes on once a provider that was away is back, and was there while it was not", async () => {
    expect(await post("oidc/nobody", { redirect_uri: REDIRECT })).toMatchObject({ status: 503, json: { code: "provider_away" } });
    expect(await post("oidc/unknown", { redirect_uri: REDIRECT })).toMatchObject({
      status: 404,
      json: { code: "no_such_provider" },
    });
    second.isAway = true;
    const away = await post("oidc/second", { redirect_uri: SECOND });
    expect(away).toMatchObject({ status: 503, json: { code: "provider_away" } });
    expect(away.headers["retry-after"]).toBeDefined();
    second.isAway = false;
    const back = await post("oidc/second", { redirect_uri: SECOND });
    expect(back.status).toBe(201);
    const { flow, authorization_url: url } = back.json as { flow: string; authorization_url: string };
    const callback = await second.signIn(url, somebody());
    second.isAway = true;
    expect(await post("oidc/second/sessions", { flow, callback_url: callback })).toMatchObject({ status: 503 });
    second.isAway = false;
    expect((await post("oidc/second/sessions", { flow, callback_url: callback })).status).toBe(201);
  });

  it("is linked to an account by whoever knows its password, and to one alone", async () => {
    const bob = await register(base);
    const account = somebody();
    const link = async (password: string, token: string): Promise<Answer> =>
      post("users/me/identities", { provider: "first", password, ...(await arrive(account)) }, token);
    expect(await link("wrong", bob.token)).toMatchObject({ status: 403, json: { code: "wrong_password" } });
    const linked = await link(PASSWORD, bob.token);
    expect(linked).toMatchObject({ status: 201, json: { provider: "first", issuer: provider.issuer } });
    expect(await signIn(account)).toMatchObject({ status: 201, json: { user_id: bob.id } });
    const eve = await register(base);
    expect(await link(PASSWORD, eve.token)).toMatchObject({ status: 409, json: { code: "taken" } });

    const id = String(linked.json["identity_id"]);
    const unlink = (token: string): Promise<Answer> =>
      http(`${base}/api/users/me/identities/${id}/`, { method: "DELETE", token });
    expect(await unlink(eve.token)).toMatchObject({ status: 404, json: { code: "no_such_identity" } });
    expect((await unlink(bob.token)).status).toBe(204);
    expect((await signIn(account)).json["user_id"]).not.toBe(bob.id);
  });

  it("keeps the only way to sign in, until there is a password", async () => {
    const made = await signIn(somebody());
    const token = String(made.json["access_token"]);
    const { json } = await http(`${base}/api/users/me/identities/`, { token });
    const [{ identity_id: id }] = json["identities"] as [{ identity_id: number }];
    const unlink = (): Promise<Answer> => http(`${base}/api/users/me/identities/${id}/`, { method: "DELETE", token });
    expect(await unlink()).toMatchObject({ status: 409, json: { code: "last_identity" } });
    const { username } = (await account(token)).json as { username: string };
    for (const password of ["-", "", "no password"]) {
      const guess = await http(`${base}/api/sessions/`, { body: { username, password } });
      expect([password, guess.status]).toEqual([password, password === "" ? 400 : 401]);
    }
    const set = await http(`${base}/api/users/me/password/`, {
      method: "PUT",
      body: { current_password: "none", password: "a password at last" },
      token,
    });
    expect(set.status).toBe(204);
    expect((await http(`${base}/api/sessions/`, { body: { username, password: "a password at last" } })).status).toBe(201);
    expect((await unlink()).status).toBe(204);
  });

  it("are ten at most, and are linked by nobody who guesses", async () => {
    const bob = await register(base);
    const eve = await register(base);
    const guess = { provider: "first", flow: "begun", callback_url: REDIRECT, password: "wrong" };
    const guessed = [];
    for (let n = 0; n < 11; n += 1) guessed.push((await post("users/me/identities", guess, eve.token)).status);
    expect(guessed).toEqual([...Array.from({ length: 10 }, () => 403), 429]);
    for (let n = 0; n < 11; n += 1) {
      const body = { provider: "first", password: PASSWORD, ...(await arrive(somebody())) };
      expect([n, (await post("users/me/identities", body, bob.token)).status]).toEqual([n, n < 10 ? 201 : 409]);
    }
  });

  it("erases what it kept with the account, whose owner needs no password for that", async () => {
    const who = somebody();
    const made = await signIn(who);
    const gone = await http(`${base}/api/users/me/`, {
      method: "DELETE",
      body: { password: "none" },
      token: String(made.json["access_token"]),
    });
    expect(gone.status).toBe(200);
    const again = await signIn(who);
    expect(again.status).toBe(201);
    expect(again.json["user_id"]).not.toBe(made.json["user_id"]);
  });
});

describe("signing in through a provider, where not everybody may", () => {
  it("makes no account where registration is closed, and signs nobody in who is suspended", async () => {
    const provider = await startProvider([REDIRECT]);
    const { client_id: clientId, client_secret: clientSecret } = provider.client;
    const oidcProviders = [{ name: "first", title: "First", issuer: provider.issuer, clientId, clientSecret }];
    const part = await newPart({ oidcProviders });
    part.closing.add(() => provider.close());
    try {
      const open = await openListener(part);
      const closed = await openListener({ ...part, settings: { oidcProviders, registration: "closed" } });
      const ofDomain = await openListener({ ...part, settings: { oidcProviders, emailDomains: ["example.org"] } });
      const signIn = async (url: string, account: Account): Promise<Answer> => {
        const begun = await http(`${url}/api/oidc/first/`, { body: { redirect_uri: REDIRECT } });
        const { authorization_url: at, flow } = begun.json as { authorization_url: string; flow: string };
        const callback_url = await provider.signIn(at, account);
        return http(`${url}/api/oidc/first/sessions/`, { body: { flow, callback_url } });
      };
      const ada = somebody();
      expect(await signIn(closed.url, ada)).toMatchObject({ status: 403, json: { code: "registration_closed" } });
      const unverified = somebody({ email: "eve@example.org", email_verified: false });
      expect(await signIn(ofDomain.url, unverified)).toMatchObject({ status: 403, json: { code: "registration_closed" } });
      expect((await signIn(ofDomain.url, somebody({ email: "bob@example.org", email_verified: true }))).status).toBe(201);
      const made = await signIn(open.url, ada);
      expect(await signIn(closed.url, ada)).toMatchObject({ status: 201, json: { user_id: made.json["user_id"] } });
      await suspendUser(part.database.store.db, "test", Number(made.json["user_id"]));
      expect(await signIn(open.url, ada)).toMatchObject({ status: 403, json: { code: "suspended" } });
    } finally {
      await part.closing.closeAll();
    }
  });
});
