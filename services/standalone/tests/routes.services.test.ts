import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { type ProblemCode, problemsOf, type Route, ROUTES, statusOf } from "@messenger/contracts";
import {
  type Answer,
  type Call,
  http,
  logIn,
  type Person,
  register,
  type ScriptedReceiver,
  startScriptedReceiver,
} from "@messenger/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";
import { samplePath } from "./sample-path.ts";

const JSON_ONLY = "application/json";
const routes = Object.entries<Route>(ROUTES).map(([name, route]) => ({ name, route, auth: route.auth }));

/**
 * What every route does, whatever it is for: taken from the table of routes, so that a new one cannot be
 * forgotten.
 */
describe.each(deployments)("every route, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let receiver: ScriptedReceiver;
  let ada: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    receiver = await startScriptedReceiver();
    ada = await register(base);
  });
  afterAll(async () => {
    await receiver.close();
    await deployment.close();
  });

  async function call(route: Route, given: Call = {}): Promise<Answer> {
    return http(base + samplePath(route), { method: route.method, accept: JSON_ONLY, ...given });
  }
  /** Doors have a form of their own for what they refuse. */
  function expectRefused(answer: Answer, route: Route, code: ProblemCode, what = ""): void {
    const { detail } = answer.json;
    expect([what, answer.status, detail]).toEqual([what, statusOf(route, code), expect.any(String)]);
    if (route.door === undefined) expect(answer.json["code"], what).toBe(code);
    else expect(answer.json).toEqual({ detail: route.door[code]?.detail ?? detail });
  }
  const needsSession = routes.filter(({ auth }) => auth !== "public");

  it.each(needsSession)("$name tells nothing to who is signed out, by no, a broken or an ended session", async ({ route }) => {
    const body = route.body === undefined ? undefined : "{"; // they are not even told that it is broken
    expectRefused(await call(route, { body }), route, "unauthorized");
    expectRefused(await call(route, { body, token: `${ada.token}x` }), route, "unauthorized");
    const ended = await logIn(base, ada, receiver.url);
    await http(`${base}/api/logout/`, { body: { username: ada.name }, token: ended.token });
    expectRefused(await call(route, { body, token: ended.token }), route, "unauthorized");
  });

  it.each(routes.filter(({ auth }) => auth === "public"))("$name asks nobody who they are", async ({ route }) => {
    const answer = await call(route, { body: route.body === undefined ? undefined : {} });
    expect([200, statusOf(route, "validation_error")]).toContain(answer.status);
  });

  // What is for administrators is refused to others before; their bodies are tried with their own tests.
  const takesBody = routes.filter(({ route, auth }) => route.body !== undefined && auth !== "admin");
  const refusals: [string, Call, ProblemCode][] = [
    ["JSON that is cut short", { body: "{" }, "malformed_body"],
    ["a body of another type", { body: "{}", headers: { "content-type": "text/csv" } }, "unsupported_media_type"],
    ["an object without its fields", { body: {} }, "validation_error"],
    ["a list", { body: [] }, "validation_error"],
    ["a body beyond all limits", { body: `"${"x".repeat(1024 * 1024)}"` }, "too_large"],
  ];
  describe.each(takesBody)("$name", ({ route }) => {
    const refused = refusals.filter(([, { body }]) => !Value.Check(route.body as TSchema, body));
    it.each(refused)("refuses %s", async (_what, given, code) => {
      expectRefused(await call(route, { ...given, token: ada.token }), route, code);
      expect(problemsOf(route)).toContain(code);
    });

    it("refuses null in every field where it means nothing", async () => {
      const [example] = (route.body as { examples?: Record<string, unknown>[] }).examples ?? [];
      for (const field of Object.keys(example ?? {})) {
        const body = { ...example, [field]: null };
        if (Value.Check(route.body as TSchema, body)) continue; // where it means something
        const answer = await call(route, { body, token: ada.token });
        expectRefused(answer, route, "validation_error", field);
        if (route.door === undefined) {
          expect(answer.json["errors"]).toContainEqual({ in: "body", pointer: `/${field}`, detail: expect.any(String) });
        }
      }
    });
  });
});
