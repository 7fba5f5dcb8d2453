import { type Clock, type Random, schemeOf } from "@messenger/core";
import type { AddressGuard } from "./address-guard.ts";
import type { Channel } from "./channel.ts";
import type { EgressProxy } from "./egress-proxy.ts";
import { createEmailChannel, type EmailSettings } from "./email.ts";
import { createFailOverChannel } from "./fail-over.ts";
import { createLogChannel } from "./log-provider.ts";
import { createMetaChannel, type MetaSettings } from "./meta.ts";
import { createPoster, type Poster } from "./poster.ts";
import type { WrittenScheme } from "./recipients.ts";
import { createTwilioChannel, type TwilioSettings } from "./twilio.ts";
import { createVapid } from "./vapid.ts";
import { createWebPushChannel } from "./web-push.ts";
import { createWebhookChannel } from "./webhook.ts";

/** The channels of a process, by the schemes of the addresses that they push to. */
export interface Channels {
  /** Undefined where nothing delivers to such addresses. */
  channelFor(address: string): Channel | undefined;
  /** Why an address can never be pushed to; undefined where it can. */
  vet(address: string): string | undefined;
  /** Who delivers to people. */
  readonly providers: readonly Provider[];
  close(): Promise<void>;
}

/** `byScheme` names each channel that is on under all of its schemes: `{ "http:": webhook, "https:": webhook }`. */
function createChannels(byScheme: Readonly<Record<string, Channel>>): Omit<Channels, "providers"> {
  const channelFor = (address: string): Channel | undefined => byScheme[schemeOf(address)];

  return {
    channelFor,
    vet(address) {
      const channel = channelFor(address);
      return channel === undefined ? `nothing delivers to ${schemeOf(address)} addresses here` : channel.vet(address);
    },
    async close() {
      for (const channel of new Set(Object.values(byScheme))) await channel.close();
    },
  };
}

/** What each provider needs; undefined where it is not used. */
export interface ProviderSettings {
  /** A second relay takes what the first is not there for. */
  email?: (EmailSettings & { secondSmtpUrl?: string | undefined }) | undefined;
  sms?: TwilioSettings | undefined;
  /** Where both are given, Meta takes what Twilio is not there for. */
  whatsapp?: { twilio?: TwilioSettings | undefined; meta?: MetaSettings | undefined } | undefined;
  /** The key that browsers subscribe with, and whom their push services may write to. */
  webPush?: { key: Uint8Array; contact: string | undefined } | undefined;
  /** What has no provider is taken, and sent nowhere: tells the ids of what was. */
  pretend?: ((id: string) => void) | undefined;
}

/** Who delivers to people: by the scheme of the address. */
export interface Provider {
  scheme: PeopleScheme;
  /** `smtp`, `twilio`, `meta`, `twilio, meta`, `webpush`, or `log` for nobody. */
  provider: string;
}

export type PeopleScheme = WrittenScheme | "webpush:";

interface Opening {
  guard: AddressGuard;
  clock: Clock;
  random: Random;
  /** How requests leave this network; undefined where they go straight. E-mail has its relay for that. */
  proxy?: EgressProxy | undefined;
}

interface Opened {
  channel: Channel;
  provider: string;
}

function openPeople(options: ProviderSettings & Opening & { poster: Poster }): Partial<Record<PeopleScheme, Opened>> {
  const { email, sms, whatsapp, webPush, pretend, poster, guard, clock, random } = options;
  const pretended = (name: "email" | "sms" | "whatsapp"): Opened | undefined =>
    pretend && { channel: createLogChannel(name, pretend), provider: "log" };
  const opened: Record<PeopleScheme, Opened | undefined> = {
    "mailto:": email === undefined ? pretended("email") : { channel: openEmail(email, clock), provider: "smtp" },
    "sms:":
      sms === undefined
        ? pretended("sms")
        : { channel: createTwilioChannel({ ...sms, kind: "sms", poster, clock }), provider: "twilio" },
    "whatsapp:": openWhatsApp(whatsapp, poster, clock) ?? pretended("whatsapp"),
    "webpush:": webPush && {
      channel: createWebPushChannel({ guard, poster, vapid: createVapid({ ...webPush, clock }), random }),
      provider: "webpush",
    },
  };
  return Object.fromEntries(Object.entries(opened).filter(([, one]) => one !== undefined));
}

function openEmail({ secondSmtpUrl, ...settings }: NonNullable<ProviderSettings["email"]>, clock: Clock): Channel {
  const first = createEmailChannel({ ...settings, clock });
  if (secondSmtpUrl === undefined) return first;
  return createFailOverChannel(first, createEmailChannel({ ...settings, smtpUrl: secondSmtpUrl, clock }));
}

function openWhatsApp(settings: ProviderSettings["whatsapp"], poster: Poster, clock: Clock): Opened | undefined {
  const twilio = settings?.twilio && createTwilioChannel({ ...settings.twilio, kind: "whatsapp", poster, clock });
  const meta = settings?.meta && createMetaChannel({ ...settings.meta, poster, clock });
  if (twilio !== undefined && meta !== undefined)
    return { channel: createFailOverChannel(twilio, meta), provider: "twilio, meta" };
  if (twilio !== undefined) return { channel: twilio, provider: "twilio" };
  return meta && { channel: meta, provider: "meta" };
}

/** All channels that this process has what it needs for. */
export function openChannels(options: Opening & { providers?: ProviderSettings }): Channels {
  const webhook = createWebhookChannel(options);
  const poster = createPoster(options);
  const people = openPeople({ ...options.providers, ...options, poster });
  const byScheme = Object.fromEntries(Object.entries(people).map(([scheme, { channel }]) => [scheme, channel]));
  const channels = createChannels({ "http:": webhook, "https:": webhook, ...byScheme });
  return {
    ...channels,
    providers: Object.entries(people).map(([scheme, { provider }]) => ({ scheme: scheme as PeopleScheme, provider })),
    async close() {
      await channels.close();
      await poster.close();
    },
  };
}
