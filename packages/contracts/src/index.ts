export * from "./messages.ts";
export * from "./problem.ts";
export * from "./push.ts";
export * from "./sessions.ts";
export * from "./users.ts";
