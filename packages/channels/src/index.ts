export { type AddressGuard, checkCidr, createAddressGuard, type ResolvedAddress } from "./address-guard.ts";
export type { Channel, Push, PushResult, Target } from "./channel.ts";
export { checkNameServer } from "./resolver.ts";
export { formatSecret, SECRET_BYTES } from "./signature.ts";
export { createWebhookChannel, refusalOf } from "./webhook.ts";
