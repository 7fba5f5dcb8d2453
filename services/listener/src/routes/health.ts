import { Type } from "typebox";
import type { App } from "../app.ts";
import type { Context } from "../context.ts";
import { HttpProblem, speaksText } from "../http/problem.ts";

const HealthAnswer = Type.Object({ status: Type.Literal("ok") });

/** Whether the process lives, and whether it can do its work. */
export function healthRoutes(app: App, context: Context): void {
  app.get(
    "/api/health",
    {
      config: { contract: true },
      schema: {
        operationId: "health",
        summary: "Whether the process lives",
        tags: ["operation"],
        response: { 200: Type.Union([Type.String(), HealthAnswer]) },
      },
    },
    async (request, reply) => {
      if (speaksText(request)) return reply.type("text/plain; charset=utf-8").send("OK");
      return reply.send({ status: "ok" });
    },
  );

  app.get(
    "/api/health/live",
    {
      schema: { operationId: "live", summary: "Whether the process lives", tags: ["operation"], response: { 200: HealthAnswer } },
    },
    () => ({
      status: "ok" as const,
    }),
  );

  app.get(
    "/api/health/ready",
    {
      schema: {
        operationId: "ready",
        summary: "Whether messages can be accepted now",
        tags: ["operation"],
        response: { 200: HealthAnswer },
      },
    },
    async () => {
      const reason = await context.unreadiness();
      if (reason !== undefined) throw new HttpProblem({ status: 503, code: "not_ready", detail: reason });
      return { status: "ok" as const };
    },
  );
}
