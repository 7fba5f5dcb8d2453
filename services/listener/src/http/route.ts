import type { Route } from "@messenger/contracts";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Static, TObject, TSchema } from "typebox";
import type { App } from "../app.ts";
import { Refused } from "../refused.ts";
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

/** Undefined where the client gave none. */
export function idempotencyKeyOf(request: Pick<FastifyRequest, "headers">): string | undefined {
  return request.headers["idempotency-key"] as string | undefined;
}

const INTEGER = /^-?\d{1,16}$/u;

const integersOf = (shape: TObject | undefined): readonly string[] =>
  Object.entries(shape?.properties ?? {}).flatMap(([name, schema]) =>
    (schema as { type?: string }).type === "integer" ? [name] : [],
  );

/** Refuses what would be rounded to an integer, as `1.5` is: a query and a path are text. */
function refuseRounded(where: string, integers: readonly string[], given: unknown): void {
  for (const name of integers) {
    const value = (given as Record<string, unknown>)[name];
    if (value !== undefined && !(typeof value === "string" && INTEGER.test(value))) {
      throw new Refused("validation_error", `${where}: ${name} must be integer`);
    }
  }
}

/** Serves routes as they are described. Their auth is seen to before (`requireSessions`). */
export function addRoutes<Routes extends Readonly<Record<string, Route>>>(
  app: App,
  routes: Routes,
  handlers: Handlers<Routes>,
): void {
  for (const [name, route] of Object.entries(routes)) {
    const { answer, params, query, headers, body, bodyLimit } = route;
    const integers = { params: integersOf(params), query: integersOf(query) };
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
      preValidation(request, _reply, done) {
        try {
          refuseRounded("params", integers.params, request.params);
          refuseRounded("querystring", integers.query, request.query);
          done();
        } catch (error) {
          done(error as Error);
        }
      },
      async handler(request: FastifyRequest, reply: FastifyReply) {
        const result = await handle(request, reply);
        reply.code(answer.status);
        if (answer.stream !== undefined) reply.type(answer.stream);
        if (answer.text !== undefined && speaksText(request)) return reply.type("text/plain; charset=utf-8").send(answer.text);
        return answer.status === 204 ? reply.send() : reply.send(result);
      },
    });
  }
}
