export { watchBacklog } from "./backlog-watch.ts";
export type { LaneState } from "./lane-states.ts";
export { createSenderMetrics, type SenderMetrics } from "./metrics.ts";
export { type Sender, type SenderOptions, type SenderStore, startSender } from "./sender.ts";
export { type NoticerOptions, startNotices } from "./notices/start.ts";
export { senderStore } from "./store.ts";
export { proxyOf, senderSettings } from "./settings.ts";
export { contactOf, providerSettings, providersOf } from "./providers.ts";
