import { type Closing, createClosing } from "@messenger/runtime";
import { migrate, openStore } from "@messenger/store";
import {
  createTestDatabase,
  deleteNamespace,
  http,
  logIn,
  type Person,
  type Proxy,
  register,
  send,
  startPostgres,
  startProxy,
  type TestDatabase,
  testNamespace,
  waitFor,
} from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { openListener, PARTITIONS, SECRET } from "./deployments.ts";

const NEXT_SECRET = "another secret of the tests, of more than 32 bytes";

let closing: Closing;
let database: TestDatabase;
let part: { databaseUrl: string; amqpUrl: string; namespace: string; closing: Closing };

beforeEach(async () => {
  closing = createClosing();
  database = await createTestDatabase(inject("databaseUrl"));
  closing.add(() => database.drop());
  const namespace = testNamespace();
  closing.add(() => deleteNamespace(inject("amqpUrl"), namespace, PARTITIONS));
  part = { databaseUrl: database.url, amqpUrl: inject("amqpUrl"), namespace, closing };
});
afterEach(() => closing.closeAll());

describe("an admin", () => {
  let base: string;
  let ada: Person;
  let bob: Person;
  beforeEach(async () => {
    base = (await openListener(part)).url;
    [ada, bob] = [await register(base), await register(base)];
  });

  async function appoint(person: Person, role: "admin" | "user"): Promise<void> {
    await sql`update users set role = ${role} where id = ${person.id}`.execute(database.store.db);
  }

  const remove = (as: { token: string }, userId: number) =>
    http(`${base}/api/users/`, { method: "DELETE", body: { user_id: userId }, token: as.token });

  it("deletes another's account, which is signed out everywhere and found by nobody", async () => {
    await appoint(ada, "admin");
    const answer = await remove(ada, bob.id);
    expect([answer.status, answer.text]).toEqual([200, "User deleted."]);
    const find = (as: Person, name: string) => http(`${base}/api/users/?username=${name}`, { token: as.token });
    await waitFor(async () => (await find(bob, ada.name)).status === 401, { what: "the deleted user's token to be refused" });
    expect((await find(ada, bob.name)).status).toBe(404);
    await expect(logIn(base, bob, "http://192.0.2.1/")).rejects.toThrow(/401/u);
    expect((await find(ada, ada.name)).status).toBe(200);
  });

  it("is one from the moment that the database says so, whatever the token says, and none from the moment that it does not", async () => {
    const [carol, dan] = [await register(base), await register(base)];
    expect((await remove(ada, carol.id)).status).toBe(403);
    await appoint(ada, "admin");
    expect((await remove(ada, carol.id)).status).toBe(200);
    const { token } = await logIn(base, ada, "http://192.0.2.1/");
    await appoint(ada, "user");
    for (const as of [ada, { token }]) expect((await remove(as, dan.id)).status).toBe(403);
    expect((await http(`${base}/api/users/?username=${dan.name}`, { token: bob.token })).status).toBe(200);
  });

  it("learns that there is no such account, and nobody else does", async () => {
    await appoint(ada, "admin");
    expect((await remove(ada, 999_999_999)).status).toBe(404);
    expect((await remove(bob, 999_999_999)).status).toBe(403);
  });
});

describe("a listener", () => {
  /** A proxy to a server, and the server's address by way of it. */
  async function proxied(server: string): Promise<{ proxy: Proxy; url: string }> {
    const url = new URL(server);
    const proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
    closing.add(() => proxy.close());
    url.hostname = "127.0.0.1";
    url.port = String(proxy.port);
    return { proxy, url: url.href };
  }

  it("lives but is not ready while the database is away, says why, and is ready again once it is back", async () => {
    const postgres = await startPostgres();
    closing.add(() => postgres.stop());
    const store = await openStore({ url: postgres.url });
    await migrate(store.db);
    await store.close();
    const { url } = await openListener({ ...part, databaseUrl: postgres.url });
    const ready = () => http(`${url}/api/health/ready`);
    expect((await ready()).json).toEqual({ status: "ok" });
    await postgres.kill();
    const answer = await ready();
    expect(answer.status).toBe(503);
    expect(answer.json).toMatchObject({ code: "not_ready", detail: "the database does not answer" });
    expect(answer.headers["retry-after"]).toBe("1");
    for (const path of ["/api/health/", "/api/health/live"]) expect((await http(url + path)).status).toBe(200);
    await postgres.startAgain();
    await waitFor(async () => (await ready()).status === 200, { what: "the listener to be ready again" });
  });

  it("is not ready either while the database says nothing, and waits for it no longer than for a statement", async () => {
    const { proxy, url: databaseUrl } = await proxied(part.databaseUrl);
    const { url } = await openListener({ ...part, databaseUrl, statementTimeoutMs: 1_000 });
    const ready = () => http(`${url}/api/health/ready`);
    proxy.stall();
    const answer = await ready();
    expect([answer.status, answer.json["detail"]]).toEqual([503, "the database does not answer"]);
    proxy.resume();
    await waitFor(async () => (await ready()).status === 200, { what: "the listener to be ready again" });
  });

  it("stays ready while the broker is away: it goes on accepting messages, which their outbox rows cover", async () => {
    const { proxy, url: amqpUrl } = await proxied(part.amqpUrl);
    const { url } = await openListener({ ...part, amqpUrl });
    const ada = await register(url);
    await proxy.close();
    expect((await send(url, ada, ada)).status).toBe(200);
    expect((await http(`${url}/api/health/ready`)).json).toEqual({ status: "ok" });
    expect((await sql`select from outbox`.execute(database.store.db)).rows).toHaveLength(1);
  });
});

describe("guesses of a password, behind a proxy", () => {
  let bob: Person;

  /** A listener that trusts these proxies; the tests reach it from 127.0.0.1. */
  async function trusting(...trustedProxies: string[]): Promise<(from: string, password?: string) => Promise<number>> {
    const { url } = await openListener({ ...part, settings: { trustedProxies, localHostsOnly: false } });
    bob = await register(url);
    return async (from, password = "a wrong password") => {
      const body = { username: bob.name, password, user_address: "http://192.0.2.1/", public_key: "key" };
      return (await http(`${url}/api/login/`, { headers: { "x-forwarded-for": from }, body })).status;
    };
  }

  it("count by the network that a trusted proxy names, which is a /64 of IPv6, whatever the client says before it", async () => {
    const guess = await trusting("10.0.0.0/8", "127.0.0.1");
    for (let n = 0; n < 10; n += 1) expect(await guess(`2001:db8:1:1::${n}`)).toBe(401);
    expect(await guess("2001:db8:1:1:ffff:ffff:ffff:ffff")).toBe(429);
    expect(await guess("2001:db8:1:2::1, 2001:db8:1:1::1")).toBe(429);
    expect(await guess("2001:db8:1:2::1, 2001:db8:1:1::1, 10.1.2.3")).toBe(429);
    expect(await guess("2001:db8:1:2::1")).toBe(401);
  });

  it("leave one more to each /48 of IPv6 once an account was guessed at 50 times, and any number to where its owner was before", async () => {
    const guess = await trusting("127.0.0.1");
    for (let n = 0; n < 50; n += 1) expect(await guess(`2001:db8:${n % 5}::1`)).toBe(401);
    expect(await guess("2001:db8:77:1::1")).toBe(401);
    expect(await guess("2001:db8:77:2::1")).toBe(429);
    expect(await guess("2001:db8:78::1")).toBe(401);
    expect(await guess("127.0.0.1", bob.password)).toBe(200);
  });

  it.each([{ trusted: [] }, { trusted: ["10.0.0.0/8"] }])(
    "count by who connects, whatever they say, where that is no trusted proxy: $trusted",
    async ({ trusted }) => {
      const guess = await trusting(...trusted);
      for (let n = 0; n < 10; n += 1) expect(await guess(`198.51.100.${n}`)).toBe(401);
      expect(await guess("203.0.113.1")).toBe(429);
    },
  );
});

describe("while the secret is changed", () => {
  it("a refresh that is repeated at a listener with the other secret gets the same refresh token, and signs nobody out", async () => {
    const before = await openListener({ ...part, previousSecrets: [NEXT_SECRET] });
    const after = await openListener({ ...part, secret: NEXT_SECRET, previousSecrets: [SECRET] });
    const ada = await register(before.url);
    const refresh = (url: string, token: unknown) => http(`${url}/api/token/refresh/`, { body: { refresh_token: token } });
    for (const [first, second] of [
      [before.url, after.url],
      [after.url, before.url],
    ] as const) {
      const login = await http(`${first}/api/login/`, {
        body: { username: ada.name, password: ada.password, user_address: "http://192.0.2.1/", public_key: "key" },
      });
      const answered = await refresh(first, login.json["refresh_token"]);
      const repeated = await refresh(second, login.json["refresh_token"]);
      expect([answered.status, repeated.status]).toEqual([200, 200]);
      expect(repeated.json["refresh_token"]).toBe(answered.json["refresh_token"]);
      for (const url of [first, second]) {
        const token = repeated.json["access_token"] as string;
        expect((await http(`${url}/api/users/?username=${ada.name}`, { token })).status).toBe(200);
      }
      expect((await refresh(second, repeated.json["refresh_token"])).status).toBe(200);
      // What was replaced some time ago still ends the session.
      expect((await refresh(first, login.json["refresh_token"])).status).toBe(401);
    }
  });
});
