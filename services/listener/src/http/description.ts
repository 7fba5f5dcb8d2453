import { Problem } from "@messenger/contracts";
import type { FastifyInstance, FastifyReply } from "fastify";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Statuses that the route refuses with, beside those that follow from what it needs. */
    refusals?: readonly Refusal[];
  }
}

const REFUSALS = {
  400: "Something is missing, malformed or out of bounds; nothing was changed.",
  401: "There is no valid access token, or the one who signs in or sends is not who they say.",
  403: "Whoever is signed in may not do this.",
  404: "There is nothing of this name.",
  409: "Somebody else has this already.",
  413: "The body is too large.",
  415: "The body is not JSON, or does not say so.",
  422: "The Idempotency-Key was used for something else.",
  429: "Too many requests.",
  500: "Something failed; it was logged under this request's id.",
  503: "What is needed is away or overloaded. Nothing was lost: send it again.",
} as const;
type Refusal = keyof typeof REFUSALS;

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
  requestBody?: object;
  parameters?: object[];
  security?: object[];
}

/**
 * Completes the OpenAPI document with what routes refuse, as far as it follows from what they need or they say so, and with the text that those of the
 * wire contract answer by default.
 *
 * @returns what is to be done with the document once all routes are in it
 */
export function describeAnswers(app: FastifyInstance): <T extends object>(document: T) => T {
  const configs = new Map<string, FastifyReply["routeOptions"]["config"]>();
  app.addHook("onRoute", ({ url, method, config }) => {
    for (const one of [method].flat()) {
      configs.set(`${one.toLowerCase()} ${url.replace(/:(\w+)/gu, "{$1}")}`, config as FastifyReply["routeOptions"]["config"]);
    }
  });

  return (document) => {
    const { components, paths } = document as unknown as Document;
    components.schemas = { ...components.schemas, Problem };
    const used: Record<string, object> = {};
    components.responses = used;
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const { responses, requestBody, parameters } = operation;
        operation.security ??= [];
        const { contract = false, session = false, refusals = [] } = configs.get(`${method} ${path}`) ?? {};
        for (const answer of Object.values(responses)) {
          answer.description = "Done.";
          if (contract) splitText(answer);
        }
        const refused = new Set<Refusal>([429, 500, 503, ...refusals]);
        if (requestBody !== undefined || parameters !== undefined) refused.add(400);
        if (requestBody !== undefined) refused.add(413).add(415);
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
