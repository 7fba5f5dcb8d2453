import { parseTraceparent } from "@messenger/core";
import type { Span, Tracing } from "@messenger/runtime";
import type { FastifyInstance } from "fastify";

declare module "fastify" {
  interface FastifyRequest {
    /** The `traceparent` of what is done for this request; undefined where it is part of no trace. */
    trace: string | undefined;
    span: Span | undefined;
  }
}

/**
 * Reads which trace a request is part of (W3C Trace Context), and makes a span of it where somebody collects
 * them.
 */
export function traceRequests(app: FastifyInstance, tracing: Tracing | undefined): void {
  app.decorateRequest("trace", undefined);
  app.decorateRequest("span", undefined);
  app.addHook("onRequest", (request, _reply, done) => {
    request.trace = parseTraceparent(request.headers["traceparent"]);
    if (tracing !== undefined) {
      request.span = tracing.begin(`${request.method} ${request.routeOptions.url ?? "unknown"}`, "server", request.trace);
      request.trace = request.span.traceparent;
    }
    done();
  });
  if (tracing === undefined) return;
  app.addHook("onResponse", (request, reply, done) => {
    request.span?.end(
      {
        "http.request.method": request.method,
        "http.route": request.routeOptions.url ?? "",
        "http.response.status_code": reply.statusCode,
        "messenger.request_id": request.id,
        ...(request.messageId === undefined ? undefined : { "messenger.message_id": request.messageId }),
      },
      reply.statusCode >= 500,
    );
    done();
  });
}
