import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Context } from "../context.ts";
import type { Identity } from "../tokens.ts";
import { HttpProblem } from "./problem.ts";

declare module "fastify" {
  interface FastifyRequest {
    identity: Identity | null;
  }
}

/** RFC 6750: one scheme, one token. */
const BEARER = /^Bearer +([\w~+/.-]+=*)$/iu;

const refuse = (detail: string): HttpProblem => new HttpProblem({ status: 401, code: "unauthorized", detail });

/** Checks the token of every route that needs one, before the body is read. */
export function requireSessions(app: FastifyInstance, context: Context): void {
  app.decorateRequest("identity", null);
  app.addHook("onRequest", async (request) => {
    if (request.routeOptions.config.session !== true) return;
    const { authorization } = request.headers;
    if (authorization === undefined) throw refuse("this needs an access token: Authorization: Bearer <token>");
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) throw refuse("the Authorization header is not of the form: Bearer <token>");
    const identity = await context.tokens.verify(token);
    if (identity === undefined) throw refuse("the access token is not valid, or has expired");
    if (!(await context.revocations.freshen())) {
      throw new HttpProblem({
        status: 503,
        code: "store_unavailable",
        detail: "it cannot be seen which sessions have ended; try again",
      });
    }
    if (context.revocations.has(identity.sessionId)) throw refuse("this session has ended: sign in again");
    request.identity = identity;
  });
}

/** Who a request on a route with `session: true` comes from. */
export function identityOf(request: FastifyRequest): Identity {
  if (request.identity === null) throw new Error("the route does not say that it needs a session");
  return request.identity;
}
