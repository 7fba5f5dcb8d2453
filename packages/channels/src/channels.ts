import { type Clock, parseAddress } from "@messenger/core";
import type { AddressGuard } from "./address-guard.ts";
import type { Channel } from "./channel.ts";
import { createWebhookChannel } from "./webhook.ts";

/** The channels of a process, by the schemes of the addresses that they push to. */
export interface Channels {
  /** Undefined where nothing delivers to such addresses. */
  channelFor(address: string): Channel | undefined;
  /** Why an address can never be pushed to; undefined where it can. */
  vet(address: string): string | undefined;
  close(): Promise<void>;
}

/** The scheme of an address, with its colon: `https:`. Undefined where it has none. */
export function schemeOf(address: string): string | undefined {
  const read = parseAddress(address);
  return read.usable ? read.url.protocol : undefined;
}

/** `byScheme` names each channel that is on under all of its schemes: `{ "http:": webhook, "https:": webhook }`. */
function createChannels(byScheme: Readonly<Record<string, Channel>>): Channels {
  function channelFor(address: string): Channel | undefined {
    const scheme = schemeOf(address);
    return scheme === undefined ? undefined : byScheme[scheme];
  }

  return {
    channelFor,
    vet(address) {
      const channel = channelFor(address);
      if (channel !== undefined) return channel.vet(address);
      const scheme = schemeOf(address);
      return scheme === undefined ? "the address is not a URL" : `nothing delivers to ${scheme} addresses here`;
    },
    async close() {
      for (const channel of new Set(Object.values(byScheme))) await channel.close();
    },
  };
}

/** All channels that this process has what it needs for. */
export function openChannels(options: { guard: AddressGuard; clock: Clock }): Channels {
  const webhook = createWebhookChannel(options);
  return createChannels({ "http:": webhook, "https:": webhook });
}
