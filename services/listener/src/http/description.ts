import { Problem } from "@messenger/contracts";
import type { FastifyContextConfig, FastifyInstance } from "fastify";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Statuses that the route refuses with, beside those that follow from what it needs. */
    refusals?: readonly Refusal[];
  }
}

const REFUSALS = {
  400: "Something is missing, malformed or out of bounds; nothing was changed.",
  401: "There is no valid token, or the one who signs in or sends is not who they say.",
  403: "Whoever is signed in may not do this.",
  404: "There is no such user or message.",
  409: "Somebody else has this already.",
  413: "The body is too large.",
  415: "The body is not JSON, or does not say so.",
  422: "The Idempotency-Key was used for something else.",
  429: "Too many requests.",
  500: "Something failed; it was logged under this request's id.",
  502: "No listener answered, and it may have been done: look before you send it again, or send an Idempotency-Key.",
  503: "What is needed is away or overloaded, and it may have been done: send a message again under the same Idempotency-Key.",
} as const;
type Refusal = keyof typeof REFUSALS;
/** A query or a body can be wrong even where none is asked for. */
const OF_ALL: readonly Refusal[] = [400, 413, 415, 429, 500, 503];

const RETRY_AFTER = { "retry-after": { description: "Seconds until it is worth trying again.", schema: { type: "integer" } } };
const PROBLEM = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
const TEXT = { "text/plain": { schema: { type: "string" } } };

interface Answer {
  $ref?: string;
  description?: string;
  content?: Record<string, { schema?: { type?: string; anyOf?: { type: string }[] } }>;
}

/** As far as it is changed here. */
interface Document {
  components: { schemas?: object; responses?: object };
  paths: Record<string, Record<string, Operation>>;
}
interface Operation {
  responses: Record<string, Answer>;
  security?: object[];
}

/**
 * Completes the OpenAPI document with what routes refuse, as far as it follows from what they need or they say so, and with the text that those of the
 * wire contract answer by default.
 *
 * @returns what is to be done with the document once all routes are in it
 */
export function describeAnswers(app: FastifyInstance): <T extends object>(document: T) => T {
  const configs = new Map<string, FastifyContextConfig>();
  app.addHook("onRoute", ({ url, method, config }) => {
    for (const one of [method].flat()) {
      configs.set(`${one.toLowerCase()} ${url.replace(/:(\w+)/gu, "{$1}")}`, config ?? {});
    }
  });

  return (document) => {
    const { components, paths } = document as unknown as Document;
    components.schemas = { ...components.schemas, Problem };
    const used: Record<string, object> = {};
    components.responses = used;
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const { responses } = operation;
        operation.security ??= [];
        const { contract = false, session = false, refusals = [] } = configs.get(`${method} ${path}`) ?? {};
        for (const answer of Object.values(responses)) {
          answer.description = "Done.";
          if (contract) splitText(answer);
        }
        const refused = new Set<Refusal>([...OF_ALL, ...refusals]);
        if (method === "post") refused.add(502);
        if (session) refused.add(401);
        for (const status of [...refused].sort((a, b) => a - b)) {
          const name = `${contract ? "contract" : "problem"}-${status}`;
          used[name] ??= describeRefusal(status, contract);
          responses[status] = { $ref: `#/components/responses/${name}` };
        }
      }
    }
    return document;
  };
}

function describeRefusal(status: Refusal, contract: boolean): object {
  const headers = status === 429 || status === 503 ? { headers: RETRY_AFTER } : {};
  return { description: REFUSALS[status], ...headers, content: contract ? { ...TEXT, ...PROBLEM } : PROBLEM };
}

/** What is described as a string or an object is the one as text, the other as JSON. */
function splitText(answer: Answer): void {
  const [text, json] = answer.content?.["application/json"]?.schema?.anyOf ?? [];
  if (text?.type === "string" && json !== undefined) answer.content = { ...TEXT, "application/json": { schema: json } };
}
