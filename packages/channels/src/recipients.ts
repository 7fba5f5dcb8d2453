import { domainToASCII } from "node:url";
import { parseAddress } from "@messenger/core";
import emailAddresses from "email-addresses";
import { type CountryCode, isSupportedCountry, parsePhoneNumberWithError } from "libphonenumber-js";

const MAX_EMAIL = 254;
const HOST = /^(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+[a-z\d-]{2,63}$/u;

/**
 * An e-mail address as it is sent to (RFC 5322, 3.4.1, without a display name; the domain in ASCII, in lower
 * case), or undefined where it is none.
 */
export function readEmailAddress(text: string): string | undefined {
  const trimmed = text.trim();
  if (trimmed.length > MAX_EMAIL || /[\r\n\0]/u.test(trimmed)) return undefined;
  const read = emailAddresses.parseOneAddress({ input: trimmed, rfc6532: true, rejectTLD: true });
  // With a name, or within comments, it is another text than the address alone.
  if (read?.type !== "mailbox" || read.address !== trimmed) return undefined;
  const domain = domainToASCII(read.domain).toLowerCase();
  // What else may stand in a URL (`a@b.c/d`) is another domain than the one that was given.
  return !HOST.test(domain) || /[/\\?#:%]/u.test(read.domain) ? undefined : `${read.local}@${domain}`;
}

/** A region for numbers without a country's code: two letters (ISO 3166-1). @throws {Error} where it is none. */
export function checkRegion(text: string): void {
  if (!isSupportedCountry(text)) throw new Error(`${text} is not a region such as DE or GB`);
}

/** A phone number as it is called (E.164: `+` and digits), or undefined where it is none. */
export function readPhoneNumber(text: string, region?: string): string | undefined {
  if (text.length > 64) return undefined;
  try {
    const read = parsePhoneNumberWithError(text.trim(), region === undefined ? {} : { defaultCountry: region as CountryCode });
    return read.isValid() && read.ext === undefined ? read.number : undefined;
  } catch {
    return undefined;
  }
}

/** What follows the scheme of an address such as `mailto:ada@example.org` or `sms:+4930123456`; undefined for another scheme. */
export function recipientOf(address: string, scheme: string): string | undefined {
  const read = parseAddress(address);
  if (!read.usable || read.url.protocol !== scheme || read.url.search !== "" || read.url.hash !== "") return undefined;
  try {
    return decodeURIComponent(read.url.pathname);
  } catch {
    return undefined;
  }
}

/** Of addresses that people write: an e-mail address, a phone number. */
export type WrittenScheme = "mailto:" | "sms:" | "whatsapp:";

/** The address of a recipient, as {@link recipientOf} reads it. */
export function addressOf(scheme: WrittenScheme, recipient: string): string {
  return scheme + encodeURIComponent(recipient).replaceAll("%40", "@").replaceAll("%2B", "+");
}
