import { type Route, ROUTES } from "@messenger/contracts";
import { http, messageBody, PASSWORD, type Person, register, send } from "@messenger/testkit";
import fc from "fast-check";
import type { TObject } from "typebox";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";
import { samplePath } from "./sample-path.ts";

/**
 * Strings that programs stumble over, beside ordinary ones. They go out as JSON escapes, so that they arrive
 * as they are.
 */
const nastyString = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom(
    "",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff!",
    "'; drop table users; --",
    "__proto__",
    "\u202e",
    "𝒳".repeat(40),
    "{}",
    "%00",
  ),
);
const nastyValue = fc.oneof(
  nastyString,
  fc.constantFrom(0, -1, 0.5, 1e308, 2 ** 53, 2 ** 53 + 2, -(2 ** 63), true, null),
  fc.array(nastyString, { maxLength: 3 }),
  fc.dictionary(nastyString, nastyString, { maxKeys: 3 }),
);

/** `JSON.stringify` writes lone surrogates as escapes, and NUL too: what arrives is what was meant. */
const bodyOf = (fields: readonly string[]) =>
  fc.oneof(
    fc
      .record(Object.fromEntries(fields.map((field) => [field, nastyValue])), { requiredKeys: [] })
      .map((body) => JSON.stringify(body)),
    fc.string({ unit: "binary" }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.json(),
  );

/** A stream ends with its session: it answers no request that has a time limit. */
const routes = Object.entries<Route>(ROUTES)
  .filter(([, { answer }]) => answer.stream === undefined)
  .map(([name, route]) => ({
    name,
    method: route.method,
    route,
    fields: Object.keys((route.body as TObject | undefined)?.properties ?? route.query?.properties ?? {}),
  }));

describe.each(deployments)("bad input, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let ada: Person;
  let bob: Person;
  /** What the parameters of a path are, so that a request gets as far as its body. */
  let things: Record<string, string | number>;
  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    ada = await register(base);
    bob = await register(base);
    const made = await http(`${base}/api/conversations/`, { body: { title: "fuzzed", member_ids: [bob.id] }, token: ada.token });
    const { conversation_id: conversation } = made.json["conversation"] as { conversation_id: number };
    const said = await http(`${base}/api/conversations/${conversation}/messages/`, {
      body: { message: "hello" },
      token: ada.token,
    });
    things = { conversation, message: said.json["message_id"] as string, user_id: bob.id, emoji: "👍" };
  });

  /** With the ids of what is there; a deletion is asked for something else, so that it stays. */
  function pathOf(route: Route): string {
    if (route.method === "DELETE") return samplePath(route);
    return route.path.replace(/\{(\w+)\}/gu, (part, name: string) => {
      const thing = things[name === "id" ? (route.path.includes("conversations") ? "conversation" : "message") : name];
      return thing === undefined ? samplePath({ ...route, path: `/${part}` }).slice(1) : encodeURIComponent(thing);
    });
  }

  afterAll(() => deployment.close());

  it.each(routes)("is never answered by 500 at $name, $method", async ({ method, route, fields }) => {
    const path = pathOf(route);
    await fc.assert(
      fc.asyncProperty(bodyOf(fields), async (body) => {
        const answer = await http(base + path, { method, body, token: ada.token });
        expect(answer.status).toBeLessThan(500);
        if (answer.status >= 400) expect(answer.text.length).toBeGreaterThan(5);
      }),
      { numRuns: 150 },
    );
  });

  it("is never answered by 500 in paths and queries", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (text) => {
        const part = encodeURIComponent(text.toWellFormed());
        for (const path of [
          `/api/users/?username=${part}`,
          `/api/messages/${part}`,
          `/${part}`,
          `/api/users/?%${part.slice(0, 3)}`,
        ]) {
          const answer = await http(base + path, { token: ada.token });
          expect(answer.status).toBeLessThan(500);
        }
      }),
      { numRuns: 100 },
    );
  });

  const poisons = { NUL: "a\0b", "a lone surrogate": "a\ud800b", "a lone low surrogate": "\udc00" };
  describe.each(Object.entries(poisons))("%s", (_name, poison) => {
    const bodies: [string, string, Record<string, unknown>][] = [
      ["POST", "/api/users/", { username: "somebody", phone_number: "1234567", password: PASSWORD }],
      ["POST", "/api/users/", { email: "a@b.c", full_name: "Some Body", password: PASSWORD }],
      ["POST", "/api/login/", { username: "somebody", password: PASSWORD, user_address: "http://x/", public_key: "k" }],
      ["POST", "/api/messages/", {}],
    ];
    it("is refused in every string, and changes nothing", async () => {
      const [carol, dave] = [await register(base), await register(base)];
      for (const [method, path, given] of bodies) {
        const body = path === "/api/messages/" ? messageBody(carol, dave) : given;
        for (const [field, value] of Object.entries(body)) {
          if (typeof value !== "string") continue;
          const answer = await http(base + path, { method, body: { ...body, [field]: value + poison }, token: carol.token });
          expect([path, field, answer.status]).toEqual([path, field, 400]);
        }
      }
      const next = await send(base, carol, dave);
      expect(next.json["seq"]).toBe(1); // nothing was written to that inbox before
      expect((await http(`${base}/api/users/?username=somebody`, { token: carol.token })).status).toBe(404);
    });
  });

  it("is refused: integers beyond 2^53, broken JSON, bytes that are no UTF-8, prototypes, other media types", async () => {
    const send = (body: unknown, headers?: Record<string, string>) =>
      http(`${base}/api/messages/`, { body, token: ada.token, accept: "application/json", headers });
    const text = JSON.stringify(messageBody(ada, bob));
    const big = text.replace(`"receiver_id":${bob.id}`, `"receiver_id":9007199254740993`);
    expect(await send(big)).toMatchObject({ status: 400, json: { code: "validation_error" } });
    expect(await send(text.slice(0, -1))).toMatchObject({ status: 400, json: { detail: "the body is not JSON" } });
    expect(await send(Buffer.from(text.replace("hello", "\xff"), "latin1"))).toMatchObject({
      json: { detail: "the body is not UTF-8" },
    });
    expect(await send(text.replace("{", '{"__proto__":{"a":1},'))).toMatchObject({ status: 400 });
    expect(await send("[".repeat(4000))).toMatchObject({ status: 400 });
    expect(await send(text, { "content-type": "text/xml" })).toMatchObject({ status: 415 });
    expect((await http(`${base}/api/users/?username=${bob.name}`, { token: ada.token })).status).toBe(200);
  });
});
