import type { TObject, TSchema } from "typebox";
import { DoorProblem } from "./doors.ts";
import { Problem, type ProblemCode, PROBLEMS } from "./problems.ts";
import { PushBody } from "./push.ts";
import { problemsOf, type Route, statusOf, TAGS } from "./route.ts";

type Json = Record<string, unknown>;

/** An OpenAPI document. */
export interface Description {
  openapi: string;
  info: { title: string; version: string; description: string; license: object };
  servers: object[];
  tags: object[];
  paths: Record<string, Record<string, object>>;
  webhooks: Record<string, object>;
  components: { schemas: Record<string, object>; headers: object; securitySchemes: object };
}

const ABOUT = `A self-hosted, queue-backed messenger.

What goes wrong is answered as problem details (RFC 9457) with a stable \`code\`. Routes under \`/api/users\`, \`/api/login\`,
\`/api/logout\` and \`/api/messages\` answer in plain text unless \`Accept\` prefers JSON. A slash at the end of a path changes nothing. Every answer carries \`X-Request-Id\`, which names the request in the server's log.

Requests are counted for each user, or for each address where nobody is signed in, and for each group of routes. Where that is limited, an answer says
what is left: \`RateLimit: "send";r=2999;t=42\` (2,999 more within 42 s) and \`RateLimit-Policy: "send";q=3000;w=60\` (3,000 in 60 s).`;

const HEADERS = {
  "X-Request-Id": { description: "Names the request in the server's log.", schema: { type: "string" } },
  "Retry-After": { description: "Seconds until it is worth trying again.", schema: { type: "integer" } },
  "WWW-Authenticate": { description: "How to sign in (RFC 6750).", schema: { type: "string" } },
};
const headerRef = (name: keyof typeof HEADERS): Json => ({ $ref: `#/components/headers/${name}` });

/** Describes the routes (OpenAPI 3.1). Shapes that have a title are described once, and referred to by it. */
export function describeApi(routes: Readonly<Record<string, Route>>, version: string): Description {
  const schemas: Record<string, object> = {};

  /** A schema as it is written down: of a shape, the reference to it. */
  function describe(schema: unknown): unknown {
    if (Array.isArray(schema)) return schema.map(describe);
    if (typeof schema !== "object" || schema === null) return schema;
    const described = Object.fromEntries(
      Object.entries(schema).map(([key, value]) => [key, key === "examples" ? value : describe(value)]),
    );
    const { title, ...rest } = described;
    if (typeof title !== "string") return described;
    schemas[title] = rest;
    return { $ref: `#/components/schemas/${title}` };
  }

  const json = (schema: TSchema): Json => {
    const [example] = ("examples" in schema ? schema.examples : []) as unknown[];
    return { "application/json": { schema: describe(schema), ...(example === undefined ? undefined : { example }) } };
  };
  const bodyOf = ({ signed }: Route, body: TSchema): Json =>
    signed === "form" ? { "application/x-www-form-urlencoded": { schema: describe(body) } } : json(body);
  const text = (example: string): Json => ({ "text/plain": { schema: { type: "string" }, example } });

  function describeAnswer({ answer, isContract }: Route): Json {
    const { description, headers = {}, body } = answer;
    const own = Object.entries(headers).map(([name, { schema, ...header }]) => [name, { ...header, schema: describe(schema) }]);
    const inText = isContract && answer.text !== undefined ? text(answer.text) : undefined;
    const stream = answer.stream === undefined ? undefined : { [answer.stream]: { schema: { type: "string" } } };
    const content = { ...inText, ...(body && json(body)), ...stream };
    return { description, headers: { ...Object.fromEntries(own), "X-Request-Id": headerRef("X-Request-Id") }, content };
  }

  function describeProblems(status: number, codes: readonly ProblemCode[], { door, isContract }: Route): Json {
    const schema = {
      allOf: [describe(Problem), { type: "object", properties: { status: { const: status }, code: { enum: codes } } }],
    };
    const { text: given, about }: { text?: string; about: string } = PROBLEMS[codes[0] as ProblemCode];
    return {
      description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].about}`).join("\n\n"),
      headers: {
        "X-Request-Id": headerRef("X-Request-Id"),
        ...(status === 429 || status === 503 ? { "Retry-After": headerRef("Retry-After") } : undefined),
        ...(status === 401 ? { "WWW-Authenticate": headerRef("WWW-Authenticate") } : undefined),
      },
      content:
        door === undefined
          ? { ...(isContract === true ? text(given ?? about) : undefined), "application/problem+json": { schema } }
          : { "application/json": { schema: describe(DoorProblem) } },
    };
  }

  const parameters = (where: "path" | "query" | "header", object: TObject | undefined): Json[] =>
    Object.entries(object?.properties ?? {}).map(([name, schema]) => {
      const { description, ...shape } = describe(schema) as Json;
      return {
        name: where === "header" ? name.replace(/(^|-)[a-z]/gu, (letter) => letter.toUpperCase()) : name,
        in: where,
        required: where === "path" || object?.required?.includes(name) === true,
        ...(description === undefined ? undefined : { description }),
        schema: shape,
      };
    });

  function describeRoute(operationId: string, route: Route): Json {
    const byStatus = Map.groupBy(problemsOf(route), (code) => statusOf(route, code));
    const problems = [...byStatus].map(([status, codes]) => [status, describeProblems(status, codes, route)]);
    const given = [
      ...parameters("path", route.params),
      ...parameters("query", route.query),
      ...parameters("header", route.headers),
    ];
    return {
      operationId,
      summary: route.summary,
      description: route.description,
      tags: [route.tag],
      security: securityOf(route),
      ...(given.length > 0 ? { parameters: given } : undefined),
      ...(route.body && { requestBody: { required: true, content: bodyOf(route, route.body) } }),
      responses: { [route.answer.status]: describeAnswer(route), ...Object.fromEntries(problems) },
    };
  }

  /** An API token is a bearer token, too: the scope that it needs stands where that of OAuth would. */
  function securityOf({ auth, scope }: Route): object[] {
    if (auth === "public") return [];
    const byToken = scope === undefined ? [] : [{ api_token: [scope] }];
    return [{ session: [] }, ...byToken, ...(auth === "ticket" ? [{ ticket: [] }] : [])];
  }

  const paths: Description["paths"] = {};
  for (const [operationId, route] of Object.entries(routes)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: describeRoute(operationId, route) };
  }
  const webhooks = { push: { post: describePush(json(PushBody)) } };
  return {
    openapi: "3.1.0",
    info: {
      title: "Messenger",
      version,
      description: ABOUT,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    webhooks,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => a.localeCompare(b, "en"))),
      headers: HEADERS,
      securitySchemes: {
        session: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "An access token, as a log-in gives it." },
        api_token: { type: "http", scheme: "bearer", description: "An API token of that scope: `createToken` gives it." },
        ticket: {
          type: "apiKey",
          in: "query",
          name: "ticket",
          description: "For one stream, within 30 s: `createTicket` gives it.",
        },
      },
    },
  };
}

/** What receivers get, and what their answers mean. */
function describePush(content: Json): Json {
  const header = (name: string, description: string): Json => ({
    name,
    in: "header",
    required: true,
    description,
    schema: { type: "string" },
  });
  return {
    operationId: "push",
    summary: "An event, as it is pushed to an endpoint",
    description:
      "In the order of the inbox, one at a time, at least once; a repeat carries the same id. Signed as Standard Webhooks says, with the `webhook_secret` that making the endpoint, or the log-in, answered. This is the body of `message.created`; events of other types have the fields of `Event`.",
    security: [],
    parameters: [
      header("Webhook-Id", "Of the event: the same for a repeat."),
      header("Webhook-Timestamp", "Seconds since 1970, of this attempt."),
      header(
        "Webhook-Signature",
        "`v1,` and the signature, in Base64; several, separated by spaces, where there are several secrets or versions.",
      ),
    ],
    requestBody: { required: true, content },
    responses: {
      "2XX": { description: "Taken: the next one follows." },
      "410": { description: "Nothing more is pushed to this address." },
      default: {
        description:
          "Tried again later. 400, 406, 411, 413, 414, 415, 422 and 431 are about this event: it is put aside after three tries.",
      },
    },
  };
}
