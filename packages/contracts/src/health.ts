import { Type } from "typebox";
import { type Route, shape } from "./route.ts";

export const Health = shape("Health", { status: Type.Literal("ok") }, { status: "ok" });

export const HEALTH_ROUTES = {
  health: {
    method: "GET",
    path: "/api/health",
    auth: "public",
    tag: "operation",
    limit: "none",
    summary: "Whether the process lives",
    description: "As `live`, for clients of the wire contract.",
    isContract: true,
    answer: { status: 200, description: "It lives.", body: Health, text: "OK" },
    problems: [],
  },
  live: {
    method: "GET",
    path: "/api/health/live",
    auth: "public",
    tag: "operation",
    limit: "none",
    summary: "Whether the process lives",
    description: "Whatever it needs may be away: a process that does not answer this should be started again.",
    answer: { status: 200, description: "It lives.", body: Health },
    problems: [],
  },
  ready: {
    method: "GET",
    path: "/api/health/ready",
    auth: "public",
    tag: "operation",
    limit: "none",
    summary: "Whether messages can be accepted now",
    description: "For whoever decides which listener to send requests to.",
    answer: { status: 200, description: "Messages can be accepted.", body: Health },
    problems: ["not_ready"],
  },
} as const satisfies Record<string, Route>;
