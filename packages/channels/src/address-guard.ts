import { systemClock } from "@messenger/core";
import ipaddr from "ipaddr.js";
import { LRUCache } from "lru-cache";
import { createNameResolver } from "./resolver.ts";

type Ip = ipaddr.IPv4 | ipaddr.IPv6;

/** Thrown into a connection that must not be made; its message says why. */
export class AddressRefused extends Error {
  override readonly name = "AddressRefused";
}

export interface ResolvedAddress {
  address: string;
  family: 4 | 6;
}

/**
 * Says which addresses may be connected to: global unicast ones, and those of the ranges that the operator
 * opened.
 */
export interface AddressGuard {
  /**
   * Vets the host of a URL where it is a literal address, in any spelling; a name passes. Returns why it is
   * refused, or undefined.
   */
  vetLiteral(hostname: string): string | undefined;
  /**
   * Whether a host is not public, but in a range that was opened: as a literal address, or as a name that was
   * resolved last.
   */
  isOpened(hostname: string): boolean;
  /** Resolves a name once, and vets every address of it. @throws {AddressRefused} if one is bad. */
  resolve(hostname: string): Promise<readonly ResolvedAddress[]>;
}

export interface AddressGuardOptions {
  /** Ranges that are opened on purpose, such as `127.0.0.0/8` or `fd00::/8`. */
  allowCidrs?: readonly string[];
  /** Name servers to ask, as `address` or `address:port`; those of the system if there are none. */
  nameServers?: readonly string[];
  /** How names are resolved, instead. */
  resolveName?: (hostname: string) => Promise<readonly ResolvedAddress[]>;
}

/**
 * RFC 6052: an IPv4 address in the last four bytes of 64:ff9b::/96; RFC 8215 keeps 64:ff9b:1::/48 for local
 * use, which stays refused.
 */
const NAT64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");
/** RFC 3056: an IPv4 address in bytes 2 to 5. */
const SIX_TO_FOUR = ipaddr.IPv6.parseCIDR("2002::/16");
/** A connection to where a name has led may be open for longer than the name leads there. */
const INTERNAL_FOR_MS = 60 * 60_000;
/** Of which is remembered what they lead to. */
const MAX_NAMES = 10_000;
/** RFC 4291, 2.4: what is handed out as global unicast. */
const GLOBAL_UNICAST_6 = ipaddr.IPv6.parseCIDR("2000::/3");

function embedded(bytes: readonly number[], at: number): ipaddr.IPv4 {
  return new ipaddr.IPv4(bytes.slice(at, at + 4));
}

/**
 * The address that is really meant: looks through IPv4-mapped, NAT64 and 6to4 addresses. (Other ways to embed
 * one are not within 2000::/3.)
 */
function lookThrough(ip: Ip): Ip {
  if (ip.kind() === "ipv4") return ip;
  const six = ip as ipaddr.IPv6;
  if (six.isIPv4MappedAddress()) return six.toIPv4Address();
  const bytes = six.toByteArray();
  if (six.match(NAT64)) return embedded(bytes, 12);
  if (six.match(SIX_TO_FOUR)) return embedded(bytes, 2);
  return six;
}

function isPublic(ip: Ip): boolean {
  if (ip.range() !== "unicast") return false;
  return ip.kind() === "ipv4" || (ip as ipaddr.IPv6).match(GLOBAL_UNICAST_6);
}

/** @throws where a range of `allowCidrs` is not one. */
export function createAddressGuard(options: AddressGuardOptions = {}): AddressGuard {
  const allowed = (options.allowCidrs ?? []).map((cidr) => ipaddr.parseCIDR(cidr));
  const resolveName = options.resolveName ?? createNameResolver({ clock: systemClock, servers: options.nameServers }).resolve;

  function isAllowed(ip: Ip): boolean {
    return allowed.some(([range, bits]) => range.kind() === ip.kind() && ip.match([range, bits] as never));
  }

  /** Names that lead to addresses which are not public. */
  const openedNames = new LRUCache<string, true>({ max: MAX_NAMES, ttl: INTERNAL_FOR_MS });
  const hostOf = (hostname: string): string => (hostname.startsWith("[") ? hostname.slice(1, -1) : hostname);
  const isInternal = (text: string): boolean => ipaddr.isValid(text) && !isPublic(lookThrough(ipaddr.parse(text)));

  function vet(text: string): string | undefined {
    if (!ipaddr.isValid(text)) return `${text} is not an address`;
    const literal = ipaddr.parse(text);
    const ip = lookThrough(literal);
    if (isPublic(ip) || isAllowed(ip) || isAllowed(literal)) return undefined;
    return `the address ${ip.toString()} is not public (${ip.range()})`;
  }

  return {
    vetLiteral(hostname) {
      // A parsed URL has turned decimal, octal and hexadecimal spellings into the usual one.
      const host = hostOf(hostname);
      return ipaddr.isValid(host) ? vet(host) : undefined;
    },
    isOpened: (hostname) => isInternal(hostOf(hostname)) || openedNames.has(hostname),
    async resolve(hostname) {
      const found = await resolveName(hostname);
      if (found.length === 0) throw Object.assign(new Error(`${hostname} has no address`), { code: "ENOTFOUND" });
      for (const { address } of found) {
        const refusal = vet(address);
        if (refusal !== undefined) throw new AddressRefused("the name leads to an address that is not public");
      }
      if (found.some(({ address }) => isInternal(address))) openedNames.set(hostname, true);
      return found;
    },
  };
}

/** @throws {Error} where this is not a range such as `10.0.0.0/8`. */
export function checkCidr(text: string): void {
  if (!ipaddr.isValidCIDR(text)) throw new Error(`${text} is not a range of addresses such as 10.0.0.0/8`);
}
