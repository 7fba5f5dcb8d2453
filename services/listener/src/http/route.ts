import type { Route } from "@messenger/contracts";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Static, TSchema } from "typebox";
import type { App } from "../app.ts";
import type { Identity } from "../tokens.ts";
import { speaksText } from "./problem.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** What the description says of it; undefined for what is no operation of the API. */
    route?: Route;
  }
}

type Given<R, Name extends string> = R extends { readonly [name in Name]: infer Schema extends TSchema }
  ? Static<Schema>
  : unknown;

/** A request that the route's shapes fit. */
type RequestOf<R extends Route> = FastifyRequest<{
  Body: Given<R, "body">;
  Querystring: Given<R, "query">;
  Params: Given<R, "params">;
}> & { identity: R["auth"] extends "public" ? null : Identity };

/** Returns the JSON form of the answer, or the stream. Where that is refused, throws `Refused`. */
type Handler<R extends Route> = (request: RequestOf<R>, reply: FastifyReply) => Promise<Given<R["answer"], "body">>;

/** What the routes of one area do. */
export type Handlers<Routes extends Readonly<Record<string, Route>>> = { readonly [Name in keyof Routes]: Handler<Routes[Name]> };

/** Serves routes as they are described. Their auth is seen to before (`requireSessions`). */
export function addRoutes<Routes extends Readonly<Record<string, Route>>>(
  app: App,
  routes: Routes,
  handlers: Handlers<Routes>,
): void {
  for (const [name, route] of Object.entries(routes)) {
    const { answer, params, query, headers, body, bodyLimit } = route;
    const handle = handlers[name as keyof Routes] as unknown as (
      request: FastifyRequest,
      reply: FastifyReply,
    ) => Promise<unknown>;
    app.route({
      method: route.method,
      url: route.path.replace(/\{(\w+)\}/gu, ":$1"),
      config: { route },
      exposeHeadRoute: answer.stream === undefined,
      ...(bodyLimit === undefined ? undefined : { bodyLimit }),
      schema: {
        ...(params && { params }),
        ...(query && { querystring: query }),
        ...(headers && { headers }),
        ...(body && { body }),
        ...(answer.body && { response: { [answer.status]: answer.body } }),
      },
      async handler(request: FastifyRequest, reply: FastifyReply) {
        const result = await handle(request, reply);
        reply.code(answer.status);
        if (answer.stream !== undefined) reply.type(answer.stream);
        if (answer.text !== undefined && speaksText(request)) return reply.type("text/plain; charset=utf-8").send(answer.text);
        return reply.send(result);
      },
    });
  }
}
