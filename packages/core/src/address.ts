/** An address as far as it could be read. */
export type Address = { usable: true; url: URL } | { usable: false; reason: string };

const HAS_SCHEME = /^[a-z][a-z0-9+.-]*:/iu;
const BARE_HOST_AND_PORT = /^(?!(?:mailto|sms|tel|whatsapp):)[^/?#:]+:\d{1,5}(?:[/?#]|$)/iu;

const isBare = (text: string): boolean => !HAS_SCHEME.test(text) || BARE_HOST_AND_PORT.test(text);

/** The scheme of an address, with its colon: `https:`. Every push asks for it, so nothing else is read. */
export function schemeOf(address: string): string {
  const text = address.trim();
  return isBare(text) ? "http:" : text.slice(0, text.indexOf(":") + 1).toLowerCase();
}

/**
 * Reads the address of an endpoint. A bare `host` or `host:port` means `http://host:port/`.
 * Whether it may be pushed to is not decided here, but by the channel's guard.
 */
export function parseAddress(address: string): Address {
  const text = address.trim();
  try {
    const url = new URL(isBare(text) ? `http://${text}` : text);
    return { usable: true, url };
  } catch {
    return { usable: false, reason: "the address is not a URL" };
  }
}
