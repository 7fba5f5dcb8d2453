import { type Problem, type ProblemCode, type ProblemKind, PROBLEMS, type Route, statusOf, TITLES } from "@messenger/contracts";
import type { FastifyReply, FastifyRequest } from "fastify";
import { prefersJson } from "./accept.ts";

/** A problem, as it is answered. */
export interface Answered {
  code: ProblemCode;
  /** For a person: what is wrong, and with what. */
  detail: string;
  retryAfterSeconds?: number | undefined;
  /** Where the faults are. */
  errors?: Problem["errors"];
}

/** Every 429 and 503 says when to come again. */
const RETRY_AFTER_SECONDS = 1;

/** Whether this request is answered in text, where there is a text to answer. */
export function speaksText(request: FastifyRequest): boolean {
  return request.routeOptions.config.route?.isContract === true && !prefersJson(request.headers.accept);
}

/** Answers by problem details (RFC 9457), or on routes of the wire contract by text. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Answered): FastifyReply {
  const { code, detail } = problem;
  const { text }: ProblemKind = PROBLEMS[code];
  const route: Pick<Route, "door"> = request.routeOptions.config.route ?? {};
  const status = statusOf(route, code);
  reply.code(status);
  if (status === 429 || status === 503) reply.header("retry-after", problem.retryAfterSeconds ?? RETRY_AFTER_SECONDS);
  if (status === 401) reply.header("www-authenticate", 'Bearer realm="messenger"');
  if (route.door !== undefined) {
    const body = JSON.stringify({ detail: route.door[code]?.detail ?? detail });
    return reply
      .type("application/json; charset=utf-8")
      .serializer((sent: string) => sent)
      .send(body);
  }
  if (speaksText(request)) return reply.type("text/plain; charset=utf-8").send(text ?? detail);
  return sendProblemDetails(request, reply, problem);
}

/** Answers by problem details, whatever the request prefers. */
export function sendProblemDetails(
  request: FastifyRequest,
  reply: FastifyReply,
  { code, detail, errors }: Answered,
): FastifyReply {
  const { status } = PROBLEMS[code];
  const request_id = request.id;
  const body: Problem = {
    type: "about:blank",
    title: TITLES[status],
    status,
    detail,
    code,
    request_id,
    ...(errors && { errors }),
  };
  return reply
    .code(status)
    .type("application/problem+json; charset=utf-8")
    .serializer((problem) => JSON.stringify(problem))
    .send(body);
}
