import { createPublicKey, verify } from "node:crypto";
import {
  type Answer,
  type Arrival,
  http,
  logIn,
  type Person,
  register,
  type ScriptedReceiver,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployListener, deployments } from "./deployments.ts";

describe.each(deployments)("endpoints, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let receiver: ScriptedReceiver;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    receiver = await startScriptedReceiver();
    [ada, bob] = [await register(base), await register(base)];
  });
  afterEach(() => receiver.close());

  let turn = 0;
  /** Asks one listener after the other. */
  function call(method: string, path: string, body?: unknown, by = bob): Promise<Answer> {
    turn += 1;
    const url = deployment.urls[turn % deployment.urls.length] as string;
    return http(`${url}/api/endpoints${path}`, { method, token: by.token, ...(body !== undefined && { body }) });
  }

  async function make(more: Record<string, unknown> = {}, path = "/hook"): Promise<{ id: number; secret: string }> {
    const answer = await call("POST", "", { address: receiver.url + path, ...more });
    expect(answer).toMatchObject({ status: 201, json: { state: more["enabled"] === false ? "disabled" : "active" } });
    return { id: answer.json["endpoint_id"] as number, secret: answer.json["webhook_secret"] as string };
  }

  const at = (path = "/hook"): Arrival[] => receiver.arrivals.filter((arrival) => arrival.path === path);
  const arrived = (count: number, path?: string) => waitFor(() => at(path).length >= count, { what: `${count} pushes` });
  const texts = (): unknown[] => at().map(({ body }) => body["message"]);

  it("gets what happens from then on, once its address has answered the challenge", async () => {
    await sendSurely(base, ada, bob, "before");
    receiver.answerChallenges(false);
    const made = await call("POST", "", { address: `${receiver.url}/hook` });
    expect(made).toMatchObject({
      status: 201,
      json: { state: "unverified", reason: "its address is not verified: the answer does not hold the challenge" },
    });
    const id = made.json["endpoint_id"] as number;
    expect(made.headers.location).toBe(`/api/endpoints/${id}/`);
    await sendSurely(base, ada, bob, "meanwhile");
    expect(await call("POST", `/${id}/enable`)).toMatchObject({ status: 409, json: { code: "not_verified" } });
    expect(await call("POST", `/${id}/test`)).toMatchObject({ status: 409, json: { code: "not_verified" } });
    expect(await call("POST", `/${id}/verify`)).toMatchObject({ status: 429, json: { code: "probed_lately" } });
    expect(at()).toEqual([]);

    receiver.answerChallenges(true);
    await waitFor(async () => (await call("POST", `/${id}/verify`)).json["state"] === "active", {
      what: "the second challenge",
      timeoutMs: 20_000,
    });
    await sendSurely(base, ada, bob, "after");
    await arrived(2);
    expect(texts()).toEqual(["meanwhile", "after"]);
    const [challenge] = receiver.challenges;
    new Webhook(made.json["webhook_secret"] as string).verify(challenge?.rawBody as string, challenge?.headers as never);
  });

  it("begins where its owner says, and gets the kinds that it wants, with what a pull of them says", async () => {
    const id = await sendSurely(base, ada, bob, "one");
    await make({ after: 0, kinds: ["*"] });
    await http(`${base}/api/messages/${id}/`, { method: "PATCH", token: ada.token, body: { message: "two" } });
    await http(`${base}/api/messages/${id}/reactions/${encodeURIComponent("👍")}/`, { method: "PUT", token: ada.token });
    await arrived(3);
    const { json } = await http(`${base}/api/events?after=0`, { token: bob.token });
    const pulled = json["events"] as Record<string, unknown>[];
    expect(pulled.map(({ type }) => type)).toEqual(["message.created", "message.edited", "reaction.added"]);
    for (const [n, event] of pulled.entries()) expect({ message_id: id, version: 1, ...at()[n]?.body }).toMatchObject(event);

    await http(`${base}/api/messages/${id}/`, { method: "DELETE", token: ada.token });
    await arrived(4);
    expect(at()[3]?.body).toMatchObject({ type: "message.deleted", message_id: id });
  });

  it("gets thin pushes, with its own headers, signed in both ways", async () => {
    const { id, secret } = await make({ body: "thin", headers: { "X-Api-Key": "s3cret" }, signatures: ["v1", "v1a"] });
    const message = await sendSurely(base, ada, bob, "not for everybody");
    await arrived(1);
    const { rawBody, headers } = at()[0] as Arrival;
    expect(rawBody).not.toContain("not for everybody");
    expect(JSON.parse(rawBody)).toMatchObject({ type: "message.created", message_id: message });
    expect(headers["x-api-key"]).toBe("s3cret");
    new Webhook(secret).verify(rawBody, headers as never);

    const { json } = await call("GET", `/${id}`);
    expect(json).toMatchObject({ header_names: ["x-api-key"], signatures: ["v1", "v1a"], body: "thin" });
    const x = Buffer.from(String(json["public_key"]).slice("whpk_".length), "base64").toString("base64url");
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    const signed = `${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${rawBody}`;
    const signature = /v1a,(\S+)/u.exec(String(headers["webhook-signature"]))?.[1] ?? "";
    expect(verify(null, Buffer.from(signed), key, Buffer.from(signature, "base64"))).toBe(true);

    await call("PATCH", `/${id}`, { body: "full", headers: {}, signatures: ["v1"] });
    await sendSurely(base, ada, bob, "for everybody");
    await arrived(2);
    expect(at()[1]?.body).toMatchObject({ message: "for everybody" });
    expect(at()[1]?.headers).not.toHaveProperty("x-api-key");
    expect(at()[1]?.headers["webhook-signature"]).not.toContain("v1a");
  });

  it("moves to another address once that has answered the challenge, with what waits, its secret and its headers", async () => {
    const { id, secret } = await make({ headers: { "x-api-key": "s3cret" }, signatures: ["v1", "v1a"] });
    await sendSurely(base, ada, bob, "before");
    await arrived(1);
    receiver.answerChallenges(false);
    await waitFor(
      async () => (await call("PATCH", `/${id}`, { address: `${receiver.url}/moved` })).json["state"] === "unverified",
      { what: "the change" },
    );
    await sendSurely(base, ada, bob, "meanwhile");
    receiver.answerChallenges(true);
    await waitFor(async () => (await call("POST", `/${id}/verify`)).json["state"] === "active", {
      what: "the challenge",
      timeoutMs: 20_000,
    });
    await arrived(1, "/moved");
    expect(texts()).toEqual(["before"]);
    const [moved] = at("/moved") as [Arrival];
    expect(moved.body["message"]).toBe("meanwhile");
    expect(moved.headers).toMatchObject({ "x-api-key": "s3cret", "webhook-signature": expect.stringContaining("v1a") as string });
    new Webhook(secret).verify(moved.rawBody, moved.headers as never);

    await make({}, "/other");
    for (const address of [`${receiver.url}/other`, "ftp://example.org"]) {
      expect(await call("PATCH", `/${id}`, { address })).toMatchObject({ status: address.endsWith("/other") ? 409 : 400 });
    }
    expect((await call("GET", `/${id}`)).json).toMatchObject({ address: `${receiver.url}/moved`, state: "active" });
    await logIn(base, bob, `${receiver.url}/login`);
    const { endpoints } = (await call("GET", "")).json as { endpoints: Record<string, unknown>[] };
    const ofLogin = endpoints.find(({ made_by: by }) => by === "login")?.["endpoint_id"];
    expect(await call("PATCH", `/${String(ofLogin)}`, { address: `${receiver.url}/x` })).toMatchObject({ status: 400 });
  });

  it("is not verified at another address by what the one before answers, late", async () => {
    const slow = await startScriptedReceiver();
    try {
      slow.answerChallengesAfter(2_500);
      const making = call("POST", "", { address: `${slow.url}/mine` });
      await waitFor(() => slow.challenges.length === 1, { what: "the challenge" });
      const { endpoints } = (await call("GET", "")).json as { endpoints: Record<string, unknown>[] };
      const id = String(endpoints[0]?.["endpoint_id"]);
      receiver.answerChallenges(false);
      expect(await call("PATCH", `/${id}`, { address: `${receiver.url}/theirs` })).toMatchObject({ status: 200 });
      await making;
      expect((await call("GET", `/${id}`)).json).toMatchObject({ address: `${receiver.url}/theirs`, state: "unverified" });
      await sendSurely(base, ada, bob, "not for them");
      expect(at("/theirs")).toEqual([]);
    } finally {
      await slow.close();
    }
  });

  it("keeps what is sealed for it whatever is changed at the same time", async () => {
    const { id } = await make({ headers: { "x-a": "1" }, signatures: ["v1", "v1a"] });
    for (let round = 0; round < 5; round += 1) {
      const changes = [
        call("PATCH", `/${id}`, { address: `${receiver.url}/round${round}` }),
        call("PATCH", `/${id}`, { headers: { "x-a": String(round) } }),
        call("PATCH", `/${id}`, { signatures: [["v1"], ["v1", "v1a"]][round % 2] }),
      ];
      for (const { status } of await Promise.all(changes)) expect(status).toBe(200);
      expect(await call("GET", "")).toMatchObject({ status: 200 });
    }
  }, 120_000);

  it("has as many pushes in flight as it wants, and gets all that it did not take again", async () => {
    const tookMs = 150;
    let refusals = 1;
    const { id } = await make({ enabled: false, max_in_flight: 4 });
    expect((await call("GET", `/${id}`)).json).toMatchObject({ max_in_flight: 4 });
    const sent = await Promise.all(Array.from({ length: 30 }, (_, n) => sendSurely(base, ada, bob, `n${n}`)));
    receiver.behave(({ seq }) => {
      if (seq !== 5 || refusals === 0) return { status: 204, delayMs: tookMs };
      refusals -= 1;
      return { status: 503, delayMs: tookMs };
    });
    await call("POST", `/${id}/enable`);
    await waitFor(async () => (await call("GET", `/${id}`)).json["cursor"] === 30, { what: "all of it", timeoutMs: 60_000 });
    // Those that came less than that ago are not answered yet.
    const inFlight = at().map(({ at: now }) => at().filter((other) => other.at <= now && other.at > now - tookMs).length);
    expect(Math.max(...inFlight)).toBe(4);
    const taken = new Set(at().map(({ id: event }) => event));
    expect(taken).toEqual(new Set(sent));
    const again = at().length - 30;
    expect(again).toBeGreaterThanOrEqual(1);
    expect(again).toBeLessThanOrEqual(4);
    const { attempts } = (await call("GET", `/${id}/attempts?limit=100`)).json as { attempts: unknown[] };
    expect(attempts).toHaveLength(at().length);
  });

  it("has nothing sent to an address that answered 410 Gone to somebody else, for a day", async () => {
    await make({}, "/gone");
    receiver.behave({ status: 410 });
    await sendSurely(base, ada, bob, "to nobody");
    const mine = async () => ((await call("GET", "")).json["endpoints"] as Record<string, unknown>[])[0];
    await waitFor(async () => (await mine())?.["state"] === "disabled", { what: "the endpoint to be switched off" });
    const challenges = receiver.challenges.length;
    const reason = expect.stringContaining("answered 410 Gone to somebody else") as string;
    const address = `${receiver.url}/gone`;
    await waitFor(
      async () => {
        const made = await call("POST", "", { address }, ada);
        if (made.status === 409) return true;
        const refused = String(made.json["reason"]).includes("410");
        if (!refused) await call("DELETE", `/${String(made.json["endpoint_id"])}`, undefined, ada);
        return refused;
      },
      { what: "it to be remembered", timeoutMs: 20_000 },
    );
    const before = receiver.challenges.length;
    const { endpoints } = (await call("GET", "", undefined, ada)).json as { endpoints: Record<string, unknown>[] };
    expect(endpoints).toMatchObject([{ state: "unverified", reason }]);
    expect(await call("POST", `/${String(endpoints[0]?.["endpoint_id"])}/verify`, undefined, ada)).toMatchObject({
      status: 400,
      json: { code: "unusable_address", detail: reason },
    });
    expect(receiver.challenges.length).toBe(before);
    expect(before).toBeLessThanOrEqual(challenges + 5);
    receiver.behave({ status: 204 });
    expect(await call("POST", `/${String((await mine())?.["endpoint_id"])}/enable`)).toMatchObject({ json: { state: "active" } });
  });

  it("is signed by both secrets for as long as its owner wants", async () => {
    const { id, secret: first } = await make();
    const rotated = await call("POST", `/${id}/rotate-secret`, { previous_valid_s: 3600 });
    const second = rotated.json["webhook_secret"] as string;
    expect(second).not.toBe(first);
    await sendSurely(base, ada, bob);
    await arrived(1);
    const { rawBody, headers } = at()[0] as Arrival;
    for (const secret of [first, second]) new Webhook(secret).verify(rawBody, headers as never);

    const again = await call("POST", `/${id}/rotate-secret`, { previous_valid_s: 0 });
    await sendSurely(base, ada, bob);
    await arrived(2);
    const last = at()[1] as Arrival;
    new Webhook(again.json["webhook_secret"] as string).verify(last.rawBody, last.headers as never);
    expect(() => new Webhook(second).verify(last.rawBody, last.headers as never)).toThrow();
  });

  it("has what happens wait while it is disabled, and gets all of it in order", async () => {
    const { id } = await make({ enabled: false });
    for (let n = 0; n < 5; n += 1) await sendSurely(base, ada, bob, `message ${n}`);
    expect((await call("GET", `/${id}`)).json).toMatchObject({
      state: "disabled",
      waiting: 5,
      reason: "its owner has disabled it",
    });
    expect(at()).toEqual([]);
    expect(await call("POST", `/${id}/enable`)).toMatchObject({ status: 200, json: { state: "active", reason: null } });
    await arrived(5);
    expect((await call("POST", `/${id}/disable`)).json).toMatchObject({ state: "disabled", waiting: 0 });
    await sendSurely(base, ada, bob, "message 5");
    await call("POST", `/${id}/enable`);
    await arrived(6);
    expect(texts()).toEqual([0, 1, 2, 3, 4, 5].map((n) => `message ${n}`));
  });

  it("gets the past again, in order, with the same ids and bytes", async () => {
    const { id } = await make();
    for (let n = 0; n < 30; n += 1) await sendSurely(base, ada, bob, `message ${n}`);
    await arrived(30);
    await waitFor(async () => (await call("GET", `/${id}`)).json["cursor"] === 30, { what: "the cursor" });
    const before = at().map(({ id: event, rawBody }) => ({ event, rawBody }));
    expect(await call("POST", `/${id}/replay`, { after: 10, dry_run: true })).toMatchObject({ json: { after: 10, events: 20 } });
    expect(await call("POST", `/${id}/replay`, { since: "2020-01-01T00:00:00Z", dry_run: true })).toMatchObject({
      json: { after: 0, events: 30 },
    });
    expect(at()).toHaveLength(30);
    expect(await call("POST", `/${id}/replay`, { after: 10 })).toMatchObject({ status: 200, json: { after: 10, events: 20 } });
    await arrived(50);
    expect(
      at()
        .slice(30)
        .map(({ id: event, rawBody }) => ({ event, rawBody })),
    ).toEqual(before.slice(10));
    // Where it is already: nothing comes again.
    expect(await call("POST", `/${id}/replay`, { after: 1_000 })).toMatchObject({ status: 200, json: { events: 0 } });
    expect(await call("POST", `/${id}/replay`, {})).toMatchObject({ status: 400, json: { code: "validation_error" } });
  });

  it("shows its attempts, with the beginning of an answer that was no success", async () => {
    const { id } = await make();
    receiver.behave({ status: 503, body: `down for <b>maintenance</b>${"x".repeat(2_000)}` });
    const message = await sendSurely(base, ada, bob);
    await arrived(2);
    receiver.behave({ status: 204 });
    await arrived(3);
    await waitFor(async () => ((await call("GET", `/${id}/attempts`)).json["attempts"] as unknown[]).length === 3, {
      what: "three attempts",
    });
    const { json } = await call("GET", `/${id}/attempts?outcome=transient`);
    const [latest, first] = json["attempts"] as Record<string, unknown>[];
    expect(first).toMatchObject({
      seq: 1,
      attempt: 1,
      status: 503,
      outcome: "transient",
      message_id: message,
      type: "message.created",
    });
    expect(first?.["answer"]).toHaveLength(1024);
    expect(String(first?.["answer"])).toMatch(/^down for <b>maintenance<\/b>xxx/u);
    expect(latest).toMatchObject({ attempt: 2 });
    for (const [query, count] of [
      [`message_id=${message}`, 3],
      ["message_id=0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f", 0],
      ["status=204", 1],
      ["type=message.edited", 0],
      ["since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z", 0],
      ["limit=1", 1],
    ] as const) {
      expect((await call("GET", `/${id}/attempts?${query}`)).json["attempts"], query).toHaveLength(count);
    }
    const { next_cursor } = (await call("GET", `/${id}/attempts?limit=2`)).json;
    const rest = await call("GET", `/${id}/attempts?limit=2&cursor=${String(next_cursor)}`);
    expect(rest.json).toMatchObject({ attempts: [{ attempt: 1 }], next_cursor: null });
  });

  it("is tested beside the log", async () => {
    const { id, secret } = await make({ enabled: false });
    await waitFor(async () => (await call("POST", `/${id}/test`)).status !== 429, { what: "5 s", timeoutMs: 15_000 });
    const [test] = at();
    expect(test?.body).toMatchObject({ type: "endpoint.test", seq: 0 });
    new Webhook(secret).verify(test?.rawBody as string, test?.headers as never);
    receiver.behave({ status: 500, body: "no idea" });
    let answer = await call("POST", `/${id}/test`);
    await waitFor(
      async () => {
        if (answer.status === 429) answer = await call("POST", `/${id}/test`);
        return answer.status === 200;
      },
      { what: "the second test", timeoutMs: 15_000 },
    );
    expect(answer.json).toMatchObject({ outcome: "transient", status: 500, answer: "no idea", error: null });
    expect((await call("GET", `/${id}`)).json).toMatchObject({ failures: 0, cursor: 0 });
  });

  it("is pushed to no faster than its owner wants", async () => {
    await make({ max_per_second: 5 });
    for (let n = 0; n < 16; n += 1) await sendSurely(base, ada, bob, `message ${n}`);
    await arrived(16);
    const times = at().map(({ at: time }) => time);
    expect((times.at(-1) as number) - (times[0] as number)).toBeGreaterThan(2_800);
    expect(texts()).toEqual(Array.from({ length: 16 }, (_, n) => `message ${n}`));
  });

  it("is one of ten at most, each of another address that can be pushed to", async () => {
    await make();
    expect(await call("POST", "", { address: `${receiver.url}/hook` })).toMatchObject({ status: 409, json: { code: "taken" } });
    for (const address of ["http://10.1.2.3/", "http://127.0.0.1:25/", "ftp://example.org/", "http://user:pw@example.org/"]) {
      expect(await call("POST", "", { address }), address).toMatchObject({ status: 400, json: { code: "unusable_address" } });
    }
    for (const more of [
      { headers: { host: "internal" } },
      { headers: { "x-a": "one\r\nx-b: two" } },
      { kinds: ["message.imagined"] },
      { kinds: [] },
      { timeout_s: 31 },
      { max_per_second: 0 },
      { signatures: ["v2"] },
      { nonsense: 1 },
    ]) {
      const answer = await call("POST", "", { address: `${receiver.url}/other`, ...more });
      expect(answer, JSON.stringify(more)).toMatchObject({ status: 400, json: { code: "validation_error" } });
    }
    expect(await call("POST", "", { address: `${receiver.url}/other`, after: 9 })).toMatchObject({
      json: { code: "no_such_event" },
    });
    receiver.answerChallenges(false);
    for (let n = 1; n < 10; n += 1) await call("POST", "", { address: `${receiver.url}/hook/${n}` });
    expect(await call("POST", "", { address: `${receiver.url}/eleventh` })).toMatchObject({
      status: 409,
      json: { code: "full" },
    });
    expect((await call("GET", "")).json["endpoints"]).toHaveLength(10);
    // One that a log-in made counts once it is its owner's.
    await logIn(base, bob, `${receiver.url}/login`);
    const { endpoint_id: login } = ((await call("GET", "")).json["endpoints"] as { endpoint_id: number }[]).at(-1) as {
      endpoint_id: number;
    };
    expect(await call("POST", `/${login}/enable`)).toMatchObject({ status: 409, json: { code: "full" } });
  });

  it("of a log-in can be its owner's, and ends with its session otherwise", async () => {
    const sessions = [await logIn(base, bob, `${receiver.url}/one`), await logIn(base, bob, `${receiver.url}/two`)];
    const [one] = (await call("GET", "")).json["endpoints"] as Record<string, unknown>[];
    expect(one).toMatchObject({ made_by: "login", state: "active" });
    expect(await call("POST", `/${String(one?.["endpoint_id"])}/enable`)).toMatchObject({ json: { made_by: "owner" } });
    for (const { token } of sessions) {
      await http(`${base}/api/logout/`, { body: { username: bob.name }, token });
    }
    expect((await call("GET", "")).json["endpoints"]).toMatchObject([
      { made_by: "owner", state: "active" },
      { made_by: "login", state: "disabled" },
    ]);
  });

  it("is gone once it is deleted, and nobody else's before that", async () => {
    const { id } = await make();
    for (const [method, path, body] of [
      ["GET", "", undefined],
      ["PATCH", "", { timeout_s: 3 }],
      ["DELETE", "", undefined],
      ["POST", "/enable", undefined],
      ["POST", "/replay", { after: 0 }],
      ["GET", "/attempts", undefined],
      ["POST", "/dead-letters/replay", {}],
    ] as const) {
      expect(await call(method, `/${id}${path}`, body, ada), path).toMatchObject({
        status: 404,
        json: { code: "no_such_endpoint" },
      });
    }
    expect(await call("DELETE", `/${id}`)).toMatchObject({ status: 204 });
    expect(await call("GET", `/${id}`)).toMatchObject({ status: 404 });
    await sendSurely(base, ada, bob, "to nobody");
    await make({}, "/next");
    await sendSurely(base, ada, bob, "to the next");
    await arrived(1, "/next");
    expect(at("/next").map(({ body }) => body["message"])).toEqual(["to the next"]);
    expect(at()).toEqual([]);
  });
});

describe("endpoints without a sender", () => {
  it("says so where no sender is there to make a test", async () => {
    const { url, close } = await deployListener();
    try {
      const bob = await register(url);
      await logIn(url, bob, "http://127.0.0.1:1024/");
      const { json } = await http(`${url}/api/endpoints/`, { token: bob.token });
      const [{ endpoint_id: id }] = json["endpoints"] as [{ endpoint_id: number }];
      const answer = await http(`${url}/api/endpoints/${id}/test`, { method: "POST", token: bob.token });
      expect(answer).toMatchObject({ status: 503, json: { code: "no_probe" } });
      expect(answer.headers["retry-after"]).toBeDefined();
    } finally {
      await close();
    }
  });
});
