import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Route } from "@messenger/contracts";
import { tokenHash } from "@messenger/runtime";
import { findAdmin, takeTicket } from "@messenger/store";
import { API_TOKEN_PREFIX } from "../api-tokens.ts";
import type { Context } from "../context.ts";
import type { Identity } from "../tokens.ts";
import { Refused } from "../refused.ts";
import type { LimitRequest } from "./rate-limit.ts";

declare module "fastify" {
  interface FastifyRequest {
    identity: Identity | null;
  }
}

/** For so long after the password was given. */
const CONFIRMED_MINUTES = 15;

/** RFC 6750: one scheme, one token. */
const BEARER = /^Bearer +([\w~+/.-]+=*)$/iu;

const refuse = (detail: string): Refused => new Refused("unauthorized", detail);

/** Checks the token of every route that needs one, and counts the request, before the body is read. */
export function requireSessions(app: FastifyInstance, context: Context, limit: LimitRequest): void {
  app.decorateRequest("identity", null);

  app.addHook("onRequest", async (request, reply) => {
    const { route } = request.routeOptions.config;
    try {
      if (route !== undefined && route.auth !== "public") await identify(request, route);
    } catch (error) {
      await limit(request, reply, route);
      throw error;
    }
    const limited = limit(request, reply, route);
    if (limited !== undefined) await limited;
  });

  async function identify(request: FastifyRequest, { auth, scope }: Route): Promise<void> {
    const { ticket } = request.query as { ticket?: unknown };
    if (auth === "ticket" && typeof ticket === "string") {
      request.identity = await takeTicket(context.db, tokenHash(ticket));
      if (request.identity === null) throw refuse("the ticket is not valid, was used, or has expired: get another one");
      return;
    }
    const { authorization } = request.headers;
    if (authorization === undefined) throw refuse("this needs an access token: Authorization: Bearer <token>");
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) throw refuse("the Authorization header is not of the form: Bearer <token>");
    const isApiToken = token.startsWith(API_TOKEN_PREFIX);
    const identity = await (isApiToken ? context.apiTokens.find(token) : context.tokens.verify(token));
    if (identity === undefined)
      throw refuse(isApiToken ? "there is no such API token, or it has ended" : "the access token is not valid, or has expired");
    if (!(await context.revocations.freshen())) {
      throw new Refused("store_unavailable", "it cannot be seen which sessions have ended; try again");
    }
    if (context.revocations.has(identity.sessionId))
      throw refuse(isApiToken ? "this API token has ended" : "this session has ended: sign in again");
    request.identity = identity; // before it is refused: it counts for this user then
    if (identity.scopes !== undefined && (scope === undefined || !identity.scopes.includes(scope))) {
      const needed = scope === undefined ? "an access token of a session" : `the scope ${scope}`;
      throw new Refused("missing_scope", `this API token is not for this: it needs ${needed}`);
    }
    if (auth === "admin") await checkAdmin(identity);
  }

  /** Not by the token: an administrator that was demoted is none at once. @throws {Refused} forbidden, confirm_password */
  async function checkAdmin({ sessionId, scopes }: Identity): Promise<void> {
    const found = await findAdmin(context.db, sessionId, CONFIRMED_MINUTES);
    if (found?.isAdmin !== true) throw new Refused("forbidden", "this is for administrators");
    if (scopes === undefined && !found.isConfirmed) {
      throw new Refused("confirm_password", "give your password again: POST /api/sessions/confirm/");
    }
  }
}
