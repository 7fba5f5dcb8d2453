import type { Broker } from "@messenger/broker";
import type { AddressGuard, Channels } from "@messenger/channels";
import type { Clock, Ids, Keyring, Random } from "@messenger/core";
import type { Logger, Tracing } from "@messenger/runtime";
import type { Db } from "@messenger/store";
import type { ApiTokens } from "./api-tokens.ts";
import type { AppendQueue } from "./append-queue.ts";
import type { ListenerMetrics } from "./metrics.ts";
import type { OidcProvider, OidcProviders } from "./oidc.ts";
import type { Passwords } from "./passwords.ts";
import type { Publisher } from "./publisher.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { Receipts } from "./receipts.ts";
import type { Revocations } from "./revocations.ts";
import type { Tokens } from "./tokens.ts";

/** Settings that requests are answered by. */
export interface ApiSettings {
  passwordMinLength: number;
  /** Who may register: anybody, holders of an invitation, or nobody (operators make accounts). */
  registration: "open" | "invited" | "closed";
  /** `claimed`: an address belongs to the first account that gives it; `verified`: to the account that confirms its code. */
  signUpAddresses: "claimed" | "verified";
  /** Domains of the e-mail addresses that accounts are made with; where there are none, accounts need no address. */
  emailDomains: readonly string[];
  /** Whether a new password may be one of the commonest. */
  commonPasswords: "refused" | "accepted";
  /** What becomes of what a deleted account had sent: others keep it, without the name, or lose it, too. */
  deletedMessages: "kept" | "erased";
  /** For how many days messages are kept; undefined for ever. */
  keepMessagesDays: number | undefined;
  maxMessageBytes: number;
  /** Open streams of a listener. It accepts more connections than that: others have to get through. */
  maxStreams: number;
  /** Accounts that may be made from one network in an hour; from this machine itself, any number. */
  signUpsPerHour: number;
  rateLimits: RateLimits;
  /** Whether the front door *messages* is held to the limits of the system that it is compatible with. */
  frontDoorLimits: "usual" | "strict";
  /** That an account may make for itself. */
  maxEndpoints: number;
  /** Whether the address of a log-in is pushed to at once, or answers a challenge before. */
  loginAddresses: "trusted" | "verified";
  /** Codes by each channel in a day, at most. */
  codesPerDay: number;
  /** Hosts of push services of browsers. */
  pushServices: readonly string[];
  /** Who may send notifications. */
  notify: "admins" | "everyone";
  /** Where phone numbers without a country's code are from (ISO 3166-1, two letters). */
  phoneRegion: string | undefined;
  /** Where others reach this deployment: `https://messenger.example.org`. Undefined where providers are told of nothing. */
  publicUrl: string | undefined;
  /** By which providers sign what they report. */
  twilioAuthToken: string | undefined;
  metaAppSecret: string | undefined;
  metaVerifyToken: string | undefined;
  /** By which one can sign in. */
  oidcProviders: readonly OidcProvider[];
  trustedProxies: readonly string[];
  /** Only this machine reaches it: requests for other names are refused. */
  localHostsOnly: boolean;
}

/** All that a route needs. */
export interface Context {
  settings: ApiSettings;
  db: Db;
  /** Of messages to users. */
  appends: AppendQueue;
  /** Of messages to groups, each of which may be hundreds of events: so that they hold up no others. */
  groupAppends: AppendQueue;
  publisher: Publisher;
  keyring: Keyring;
  tokens: Tokens;
  apiTokens: ApiTokens;
  passwords: Passwords;
  oidc: OidcProviders;
  revocations: Revocations;
  receipts: Receipts;
  /** See the broker's. */
  subscribe: Broker["subscribe"];
  notify: Broker["notify"];
  /** Aborted once the listener stops: nothing that does not end by itself goes on. */
  closing: AbortSignal;
  guard: AddressGuard;
  /** What browsers subscribe with, in base64url. */
  pushKey: string;
  /** That say what can be pushed to; a listener pushes nothing itself. */
  channels: Channels;
  clock: Clock;
  random: Random;
  ids: Ids;
  metrics: ListenerMetrics;
  /** Undefined where nothing is traced. */
  tracing: Tracing | undefined;
  log: Logger;
  /** See the store's. */
  whyUnavailable(error: unknown): string | undefined;
  /** Whether it can do its work now: why not, or undefined. */
  unreadiness(): Promise<string | undefined>;
}
