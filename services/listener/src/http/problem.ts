import type { Problem } from "@messenger/contracts";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Static } from "typebox";
import { prefersJson } from "./accept.ts";

/** What the contract answers to every field that is missing or malformed. */
export const VALIDATION_TEXT = "Validation error.";

/** What is answered instead of a result. */
export interface ProblemOptions {
  status: number;
  /** For a program: stable. */
  code: string;
  /** For a person: what is wrong, and with what. */
  detail: string;
  /** What an endpoint of the wire contract answers as text; `detail` where it has none of its own. */
  text?: string;
  retryAfterSeconds?: number;
}

export class HttpProblem extends Error {
  override readonly name = "HttpProblem";
  readonly options: ProblemOptions;
  constructor(options: ProblemOptions) {
    super(options.detail);
    this.options = options;
  }
}

declare module "fastify" {
  interface FastifyContextConfig {
    /** The endpoint belongs to the wire contract: text by default, JSON for those who prefer it. */
    contract?: boolean;
    /** The endpoint needs an access token. */
    session?: boolean;
  }
}

const TITLES: Record<number, string> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** Every 429 and 503 says when to come again. */
const RETRY_AFTER_SECONDS = 1;

/** Whether this request is answered in text. */
export function speaksText(request: FastifyRequest): boolean {
  return request.routeOptions.config.contract === true && !prefersJson(request.headers.accept);
}

/** Answers by problem details (RFC 9457), or on the contract's endpoints by text. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: ProblemOptions): FastifyReply {
  const { status, code, detail } = problem;
  reply.code(status);
  if (status === 429 || status === 503) reply.header("retry-after", problem.retryAfterSeconds ?? RETRY_AFTER_SECONDS);
  if (status === 401) reply.header("www-authenticate", 'Bearer realm="messenger"');
  if (speaksText(request)) return reply.type("text/plain; charset=utf-8").send(problem.text ?? detail);
  return sendProblemDetails(request, reply, { status, detail, code });
}

/** Answers by problem details, whatever the request prefers. */
export function sendProblemDetails(
  request: FastifyRequest,
  reply: FastifyReply,
  { status, detail, code }: Pick<ProblemOptions, "status" | "detail" | "code">,
): FastifyReply {
  const title = TITLES[status] ?? "Error";
  const body: Static<typeof Problem> = { type: "about:blank", title, status, detail, code, request_id: request.id };
  return reply
    .code(status)
    .type("application/problem+json; charset=utf-8")
    .serializer((problem) => JSON.stringify(problem))
    .send(body);
}
