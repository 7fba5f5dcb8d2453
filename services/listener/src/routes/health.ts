import { Type } from "typebox";
import type { App } from "../app.ts";
import type { Context } from "../context.ts";
import { HttpProblem, speaksText } from "../http/problem.ts";

/** Whether the process lives, and whether it can do its work. */
export function healthRoutes(app: App, context: Context): void {
  app.get(
    "/api/health",
    {
      config: { contract: true },
      schema: { summary: "Whether the process lives", tags: ["operation"], response: { 200: Type.Unknown() } },
    },
    (request, reply) => {
      if (speaksText(request)) return reply.type("text/plain; charset=utf-8").send("OK");
      return reply.send({ status: "ok" });
    },
  );

  app.get("/api/health/live", { schema: { summary: "Whether the process lives", tags: ["operation"] } }, () => ({
    status: "ok",
  }));

  app.get("/api/health/ready", { schema: { summary: "Whether messages can be accepted now", tags: ["operation"] } }, async () => {
    const reason = await context.unreadiness();
    if (reason !== undefined) throw new HttpProblem({ status: 503, code: "not_ready", detail: reason });
    return { status: "ok" };
  });
}
