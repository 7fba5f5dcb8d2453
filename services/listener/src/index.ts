export { createAppendQueue, type OutgoingMessage, Overloaded } from "./append-queue.ts";
export type { ApiSettings } from "./context.ts";
export { type Listener, type ListenerOptions, startListener } from "./listener.ts";
export { createPublisher } from "./publisher.ts";
export { rateLimitsSetting } from "./rate-limits.ts";
export { apiSettings, isLocalOnly } from "./settings.ts";
export { createTokens } from "./tokens.ts";
