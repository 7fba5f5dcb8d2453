import { createConfig, lintFromString } from "@redocly/openapi-core";
import { Value } from "typebox/value";
import { describe, expect, it } from "vitest";
import { describeApi } from "./openapi.ts";
import { Problem } from "./problems.ts";
import { PushBody } from "./push.ts";
import type { Route } from "./route.ts";
import { ROUTES } from "./routes.ts";

const routes = Object.entries<Route>(ROUTES);
const text = `${JSON.stringify(describeApi(ROUTES, "0.1.0"), null, 2)}\n`;

describe("the description of the API", () => {
  it("is the one in docs/openapi.json", async () => {
    await expect(text).toMatchFileSnapshot("../../../docs/openapi.json");
  });

  it("is one that a linter accepts", async () => {
    const config = await createConfig({ extends: ["recommended-strict"] });
    const problems = await lintFromString({ source: text, absoluteRef: "openapi.json", config });
    expect(problems.map(({ ruleId, message, location }) => [ruleId, message, location[0]?.pointer])).toEqual([]);
  });

  it("has no two operations of one method and path", () => {
    const places = routes.map(([, { method, path }]) => `${method} ${path}`);
    expect(new Set(places).size).toBe(places.length);
  });

  const shapes = [Problem, PushBody, ...routes.flatMap(([, { body, answer }]) => [body, answer.body])].filter(
    (schema) => schema !== undefined,
  );
  it.each(shapes.map((schema) => [(schema as { title?: string }).title, schema] as const))(
    "has an example of %s that fits it",
    (title, schema) => {
      expect(title).toEqual(expect.any(String));
      const [example] = (schema as { examples?: unknown[] }).examples ?? [];
      expect([...Value.Errors(schema, example)]).toEqual([]);
      expect(Value.Check(schema, example)).toBe(true);
    },
  );
});
