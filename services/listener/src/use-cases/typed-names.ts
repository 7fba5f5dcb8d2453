import { readEmailAddress, readPhoneNumber } from "@messenger/channels";
import { type LoginKeys, loginKeys } from "@messenger/core";

/**
 * What somebody typed as their name, as it may be known; and, where it is an address that is sent to in another form, as that
 * is known, too: of a phone number, E.164, and of an e-mail address, its domain in ASCII. Verified addresses are kept in that
 * form.
 */
export function typedNames(name: string, region: string | undefined): readonly LoginKeys[] {
  const sentTo = readEmailAddress(name) ?? readPhoneNumber(name, region);
  return sentTo === undefined || sentTo === name ? [loginKeys(name)] : [loginKeys(name), loginKeys(sentTo)];
}

/** The first that is found of these. */
export async function findFirst<Key, Found>(
  keys: readonly Key[],
  find: (key: Key) => Promise<Found | null>,
): Promise<Found | null> {
  for (const key of keys) {
    const found = await find(key);
    if (found !== null) return found;
  }
  return null;
}
