import type { FastifyError, FastifyInstance } from "fastify";
import { Overloaded } from "../append-queue.ts";
import type { Context } from "../context.ts";
import { HttpProblem, type ProblemOptions, sendProblem, VALIDATION_TEXT } from "./problem.ts";

/** `bodyLimit`: the bytes of a body that the route reads. */
function describe(error: FastifyError, bodyLimit: number): ProblemOptions {
  if (error instanceof HttpProblem) return error.options;
  if (error instanceof Overloaded) {
    return { status: 503, code: "overloaded", detail: `${error.message}; nothing was lost: try again` };
  }
  if (error.validation !== undefined) {
    const faults = error.validation.map(
      ({ instancePath, message }) => `${instancePath === "" ? "" : `${instancePath.slice(1)} `}${message}`,
    );
    return {
      status: 400,
      code: "validation_error",
      detail: `${error.validationContext ?? "body"}: ${faults.slice(0, 5).join("; ")}`,
      text: VALIDATION_TEXT,
    };
  }
  const status = error.statusCode ?? 500;
  switch (status) {
    case 413:
      return { status: 413, code: "too_large", detail: `the body is too large: it may have at most ${bodyLimit} bytes` };
    case 415:
      return {
        status: 415,
        code: "unsupported_media_type",
        detail: "a body must be JSON, and say so: Content-Type: application/json",
      };
    default: {
      if (status >= 400 && status < 500) {
        return { status, code: "bad_request", detail: error.message, text: status === 400 ? VALIDATION_TEXT : undefined };
      }
      return { status: 500, code: "internal", detail: "something failed here; it was logged under this request's id" };
    }
  }
}

/** Makes an answer of everything that is thrown, and of requests for what is not there. */
export function answerErrors(app: FastifyInstance, context: Context): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (request.raw.destroyed && !request.raw.complete) {
      // The client went away in the middle of its request: nobody's fault, and nobody reads the answer.
      context.metrics.onRejected("client_closed");
      return sendProblem(request, reply, { status: 400, code: "client_closed", detail: "the request was cut short" });
    }
    const unavailable = error instanceof HttpProblem ? undefined : context.whyUnavailable(error);
    const problem =
      unavailable === undefined
        ? describe(error, request.routeOptions.bodyLimit)
        : { status: 503, code: "store_unavailable", detail: `${unavailable}; try again` };
    // Load is no fault: it is counted, and the request's own line says it.
    if (problem.status >= 500 && !(error instanceof Overloaded))
      request.log.error({ requestId: request.id, err: error }, "a request failed");
    context.metrics.onRejected(problem.code);
    return sendProblem(request, reply, problem);
  });
  app.setNotFoundHandler((request, reply) => {
    const code = "no_such_route";
    context.metrics.onRejected(code);
    return sendProblem(request, reply, { status: 404, code, detail: "there is nothing at this address; see /api/docs" });
  });
}
