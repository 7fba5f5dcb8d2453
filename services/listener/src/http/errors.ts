import { type ProblemCode, PROBLEMS } from "@messenger/contracts";
import type { FastifyError, FastifyInstance } from "fastify";
import { Overloaded } from "../append-queue.ts";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import { type Answered, sendProblem } from "./problem.ts";

/** What Fastify refuses, but for what the schemas say. */
const BY_STATUS: Readonly<Record<number, ProblemCode>> = {
  413: "too_large",
  414: "uri_too_long",
  415: "unsupported_media_type",
};

/** That are told of. */
const MAX_FAULTS = 5;

export function codeOf(error: FastifyError): ProblemCode {
  const status = error.statusCode ?? 500;
  return BY_STATUS[status] ?? (status >= 400 && status < 500 ? "bad_request" : "internal");
}

type Found = NonNullable<FastifyError["validation"]>[number];

/** Said by what they are about, too. */
const SAID_ELSEWHERE: ReadonlySet<string> = new Set(["additionalProperties", "anyOf", "const"]);

/** What is wrong with one thing. */
function wordsOf({ keyword, message, params, instancePath }: Found): string | undefined {
  if (keyword === "boolean") return "is not known here";
  if (keyword === "enum") return `must be one of ${(params["allowedValues"] as unknown[]).join(", ")}`;
  if (keyword === "type" && params["type"] === "object" && instancePath === "") return "must be a JSON object";
  return message;
}

/** What is wrong, in words for whoever wrote the request: the validator speaks of schemas. */
function faultsOf(found: readonly Found[]): { pointer: string; detail: string }[] {
  const faults: { pointer: string; detail: string }[] = [];
  for (const [pointer, here] of Map.groupBy(found, ({ instancePath }) => instancePath)) {
    const choices = here.flatMap(({ keyword, params }) => (keyword === "const" ? [String(params["allowedValue"])] : []));
    const details = here.filter(({ keyword }) => !SAID_ELSEWHERE.has(keyword)).map(wordsOf);
    if (choices.length > 0) details.push(`must be one of ${choices.join(", ")}`);
    for (const detail of new Set(details)) if (detail !== undefined) faults.push({ pointer, detail });
  }
  const [first] = found;
  if (faults.length === 0) return [{ pointer: first?.instancePath ?? "", detail: first?.message ?? "is wrong" }];
  return faults.slice(0, MAX_FAULTS);
}

/** `bodyLimit`: the bytes of a body that the route reads. */
function describe(error: FastifyError, bodyLimit: number): Answered {
  if (error instanceof Refused) return { code: error.code, detail: error.message, retryAfterSeconds: error.retryAfterSeconds };
  if (error instanceof Overloaded) return { code: "overloaded", detail: `${error.message}; nothing was lost: try again` };
  if (error.validation !== undefined) {
    const where = error.validationContext ?? "body";
    const errors = faultsOf(error.validation).map((fault) => ({ in: where, ...fault }));
    const faults = errors.map(({ pointer, detail }) => `${pointer === "" ? "" : `${pointer.slice(1)} `}${detail}`);
    return { code: "validation_error", detail: `${where}: ${faults.join("; ")}`, errors };
  }
  const code = codeOf(error);
  if (code === "too_large") return { code, detail: `the body is too large: it may have at most ${bodyLimit} bytes` };
  if (code === "unsupported_media_type") {
    return { code, detail: "a body must be JSON, and say so: Content-Type: application/json" };
  }
  if (code === "internal") return { code, detail: "something failed here; it was logged under this request's id" };
  return { code, detail: error.message };
}

/** Makes an answer of everything that is thrown, and of requests for what is not there. */
export function answerErrors(app: FastifyInstance, context: Context): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (request.raw.destroyed && !request.raw.complete) {
      // The client went away in the middle of its request: nobody's fault, and nobody reads the answer.
      context.metrics.onRejected("client_closed");
      return sendProblem(request, reply, { code: "client_closed", detail: "the request was cut short" });
    }
    const unavailable = error instanceof Refused ? undefined : context.whyUnavailable(error);
    const problem: Answered =
      unavailable === undefined
        ? describe(error, request.routeOptions.bodyLimit)
        : { code: "store_unavailable", detail: `${unavailable}; try again` };
    // Load is no fault: it is counted, and the request's own line says it.
    if (PROBLEMS[problem.code].status >= 500 && !(error instanceof Overloaded))
      request.log.error({ requestId: request.id, err: error }, "a request failed");
    context.metrics.onRejected(problem.code);
    return sendProblem(request, reply, problem);
  });
  app.setNotFoundHandler((request, reply) => {
    const code = "no_such_route";
    context.metrics.onRejected(code);
    return sendProblem(request, reply, { code, detail: "there is nothing at this address; see /api/docs" });
  });
}
