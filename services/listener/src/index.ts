export type { ApiSettings } from "./context.ts";
export { type Listener, type ListenerOptions, startListener } from "./listener.ts";
export { apiSettings } from "./settings.ts";
