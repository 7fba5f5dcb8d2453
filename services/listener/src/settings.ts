import { checkCidr, checkRegion, PUSH_SERVICES, readEmailAddress } from "@messenger/channels";
import { integer, list, oneOf, optional, publicUrlSetting, secretText, string } from "@messenger/runtime";
import { isLoopback } from "./networks.ts";
import { oidcProvidersSetting } from "./oidc.ts";
import { rateLimitsSetting } from "./rate-limits.ts";

/** The settings of the API, the same wherever a listener runs. */
export const apiSettings = {
  passwordMinLength: integer("PASSWORD_MIN_LENGTH", { fallback: 8, min: 1, max: 128 }),
  registration: oneOf("REGISTRATION", ["open", "invited", "closed"], "open"),
  signUpAddresses: oneOf("SIGN_UP_ADDRESSES", ["claimed", "verified"], "claimed"),
  emailDomains: list("EMAIL_DOMAINS", { fallback: [], check: checkDomain }),
  commonPasswords: oneOf("COMMON_PASSWORDS", ["refused", "accepted"], "refused"),
  tokenTtlSeconds: integer("TOKEN_TTL_SECONDS", { fallback: 3600, min: 60, max: 7 * 24 * 3600 }),
  signUpsPerHour: integer("SIGN_UPS_PER_HOUR", { fallback: 100, min: 1, max: 1_000_000 }),
  rateLimits: rateLimitsSetting,
  frontDoorLimits: oneOf("FRONT_DOOR_LIMITS", ["usual", "strict"], "usual"),
  loginAddresses: oneOf("LOGIN_ADDRESSES", ["trusted", "verified"], "trusted"),
  codesPerDay: integer("CODES_PER_DAY", { fallback: 1_000, min: 0, max: 100_000_000 }),
  pushServices: list("PUSH_SERVICES", { fallback: PUSH_SERVICES, check: () => undefined }),
  notify: oneOf("NOTIFY", ["admins", "everyone"], "admins"),
  phoneRegion: optional({ ...string("PHONE_REGION", { fallback: "" }), parse: readRegion }),
  publicUrl: optional(publicUrlSetting),
  twilioAuthToken: optional(secretText("TWILIO_AUTH_TOKEN")),
  metaAppSecret: optional(secretText("META_APP_SECRET")),
  metaVerifyToken: optional(secretText("META_VERIFY_TOKEN")),
  oidcProviders: oidcProvidersSetting,
  trustedProxies: list("TRUSTED_PROXIES", { fallback: [], check: checkProxy }),
  maxEndpoints: integer("MAX_ENDPOINTS", { fallback: 10, min: 1, max: 1_000 }),
  maxStreams: integer("MAX_STREAMS", { fallback: 3_000, min: 1, max: 100_000 }),
  keepMessagesDays: optional(integer("KEEP_MESSAGES_DAYS", { min: 1, max: 36_500 })),
  deletedMessages: oneOf("DELETED_MESSAGES", ["kept", "erased"], "kept"),
  maxMessageBytes: integer("MAX_MESSAGE_BYTES", { fallback: 65_536, min: 1, max: 8 * 1024 * 1024 }),
};

function readRegion(text: string): string {
  checkRegion(text);
  return text;
}

function checkDomain(item: string): void {
  if (readEmailAddress(`somebody@${item}`) === undefined) throw new Error(`${item} is no domain such as example.org`);
}

/** An address, or a range of them. */
function checkProxy(item: string): void {
  checkCidr(item.includes("/") ? item : `${item}/${item.includes(":") ? 128 : 32}`);
}

/** Whether only programs on this machine reach what listens on this address. */
export function isLocalOnly({ host, trustedProxies }: { host: string; trustedProxies: readonly string[] }): boolean {
  return trustedProxies.length === 0 && (host === "localhost" || isLoopback(host));
}
