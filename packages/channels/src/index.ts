export { type AddressGuard, checkCidr, createAddressGuard, type ResolvedAddress } from "./address-guard.ts";
export type { Channel, ChannelEndpoint, Push, PushResult, Result, Target } from "./channel.ts";
export { type Channels, openChannels, schemeOf } from "./channels.ts";
export { createPoster, type PostAnswer, type Poster } from "./poster.ts";
export { checkNameServer } from "./resolver.ts";
export { formatPublicKey, formatSecret, SECRET_BYTES } from "./signature.ts";
export { refusalOf, WEBHOOK_MAX_TIMEOUT_MS } from "./webhook.ts";
export { composeBody } from "./webhook-body.ts";
