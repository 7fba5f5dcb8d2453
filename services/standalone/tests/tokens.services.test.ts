import { SCOPES, type Route, ROUTES } from "@messenger/contracts";
import { type Answer, http, messageBody, PASSWORD, type Person, register, sendSurely, waitFor } from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";
import { samplePath } from "./sample-path.ts";

const needSession = Object.entries<Route>(ROUTES).flatMap(([name, route]) =>
  route.auth === "public" ? [] : [{ name, route, scope: route.scope }],
);

describe.each(deployments)("API tokens, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let ada: Person;
  let bob: Person;
  /** One of Ada's for each scope. */
  let tokens: Map<string, string>;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    ada = await register(base);
    tokens = new Map();
    for (const scope of SCOPES) tokens.set(scope, (await make({ scopes: [scope] })).json["token"] as string);
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    bob = await register(base);
  });

  let turn = 0;
  function call(method: string, path: string, token: string, body?: unknown): Promise<Answer> {
    turn += 1;
    const url = deployment.urls[turn % deployment.urls.length] as string;
    return http(`${url}/api/${path}`, { method, token, accept: "application/json", ...(body !== undefined && { body }) });
  }
  const make = (more: object = {}, by = ada): Promise<Answer> =>
    call("POST", "tokens", by.token, {
      name: "a program",
      scopes: ["messages:read", "messages:send"],
      password: PASSWORD,
      ...more,
    });

  it.each(needSession)("of another scope may not use $name", async ({ route, scope }) => {
    // One does not end that is let in.
    const asked = [...tokens].filter(([of]) => of !== scope || route.answer.stream === undefined);
    for (const [of, token] of asked) {
      const answer = await http(base + samplePath(route), { method: route.method, token, accept: "application/json" });
      const isRefused = answer.status === 403 && JSON.stringify(answer.json).includes("API token");
      expect([of, isRefused]).toEqual([of, of !== scope]);
    }
  });

  it("of endpoints make none without what it would be pushed", async () => {
    const token = tokens.get("endpoints") as string;
    const address = "http://127.0.0.1:1024/leak";
    expect(await call("POST", "endpoints", token, { address })).toMatchObject({ status: 403, json: { code: "missing_scope" } });
    const both = (await make({ scopes: ["endpoints", "messages:read"] })).json["token"] as string;
    const made = await call("POST", "endpoints", both, { address });
    expect(made).toMatchObject({ status: 201 });
    const one = `endpoints/${String(made.json["endpoint_id"])}`;
    expect(await call("PATCH", one, token, { kinds: ["*"] })).toMatchObject({ status: 403 });
    expect(await call("GET", one, token)).toMatchObject({ status: 200 });
    expect(await call("DELETE", one, token)).toMatchObject({ status: 204 });
  });

  it("act in their user's name, until they are ended", async () => {
    const { status, json } = await make({ expires_in_days: 30 });
    expect({ status, json }).toMatchObject({
      status: 201,
      json: { name: "a program", scopes: ["messages:read", "messages:send"], last_used_at: null },
    });
    const token = json["token"] as string;
    expect(token).toMatch(/^mt_[\w-]{43}$/u);
    const days = (Date.parse(json["expires_at"] as string) - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(30);

    const sent = await call("POST", "messages", token, messageBody(ada, bob, "by a program"));
    expect(sent).toMatchObject({ status: 200 });
    expect(await call("GET", `messages/${String(sent.json["message_id"])}`, token)).toMatchObject({
      status: 200,
      json: { sender_id: ada.id, message: "by a program" },
    });
    const listed = async () =>
      ((await call("GET", "tokens", ada.token)).json["tokens"] as Record<string, unknown>[]).find(
        ({ token_id: id }) => id === json["token_id"],
      );
    expect(await listed()).toMatchObject({ last_used_at: expect.any(String) as string });
    expect(JSON.stringify(await listed())).not.toContain(token.slice(3));
    // It is no session: it is not listed as one, and nothing is pulled for it.
    expect((await call("GET", "sessions", ada.token)).json["sessions"]).toMatchObject([{ is_current: true }]);

    expect(await call("DELETE", `tokens/${String(json["token_id"])}`, bob.token)).toMatchObject({ status: 404 });
    expect(await call("DELETE", `tokens/${String(json["token_id"])}`, ada.token)).toMatchObject({ status: 204 });
    await waitFor(
      async () =>
        (await Promise.all(deployment.urls.map(() => call("GET", "messages", token)))).every(({ status: now }) => now === 401),
      { what: "every listener to know" },
    );
    expect(await listed()).toBeUndefined();
    expect(await call("DELETE", `tokens/${String(json["token_id"])}`, ada.token)).toMatchObject({ status: 404 });
  });

  it("need the password, and are refused where they are not ours", async () => {
    expect(await make({ password: "wrong" })).toMatchObject({ status: 403, json: { code: "wrong_password" } });
    for (const more of [
      { scopes: [] },
      { scopes: ["everything"] },
      { expires_in_days: 0 },
      { expires_in_days: 367 },
      { name: "" },
    ]) {
      expect(await make(more)).toMatchObject({ status: 400 });
    }
    const token = tokens.get("messages:read") as string;
    for (const wrong of [`${token}x`, token.slice(0, -1), "mt_", token.toUpperCase()]) {
      expect(await call("GET", "messages", wrong)).toMatchObject({ status: 401 });
    }
  });

  it("stay when the password is changed, and end with the account", async () => {
    const token = (await make({}, bob)).json["token"] as string;
    const changed = { current_password: PASSWORD, password: "a better one than before" };
    expect(await call("PUT", "users/me/password", bob.token, changed)).toMatchObject({ status: 204 });
    expect(await call("GET", "users/me", token)).toMatchObject({ status: 200 });
    expect(await call("DELETE", "users", bob.token, { user_id: bob.id })).toMatchObject({ status: 200 });
    await waitFor(async () => (await call("GET", "users/me", token)).status === 401, { what: "the token to end" });
  });

  it("are made by nobody who guesses the password", async () => {
    const guess = (): Promise<Answer> =>
      http(`${base}/api/tokens/`, { body: { name: "a program", scopes: ["notify"], password: "wrong" }, token: bob.token });
    for (let n = 0; n < 10; n += 1) expect((await guess()).status).toBe(403);
    expect(await guess()).toMatchObject({ status: 429, json: { code: "too_many_attempts" } });
  });

  it("are fifty at most", async () => {
    for (let n = 0; n < 50; n += 1) expect((await make({}, bob)).status).toBe(201);
    expect(await make({}, bob)).toMatchObject({ status: 409, json: { code: "full" } });
    // They are not what is counted where sessions are.
    await sendSurely(base, bob, ada);
    expect((await call("GET", "events?after=0", bob.token)).json["events"]).toEqual([]);
  }, 60_000);
});
