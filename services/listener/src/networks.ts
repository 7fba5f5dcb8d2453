import ipaddr from "ipaddr.js";

function prefix(ip: string, bits4: number, bits6: number): string {
  if (!ipaddr.isValid(ip)) return ip;
  const address = ipaddr.process(ip); // an IPv4 address within IPv6 is that
  const bits = address.kind() === "ipv4" ? bits4 : bits6;
  const bytes = address.toByteArray().map((byte, n) => byte & (0xff << Math.min(8, Math.max(0, 8 * (n + 1) - bits))));
  return `${ipaddr.fromByteArray(bytes).toString()}/${bits}`;
}

/** Whoever has an IPv6 address has the 2^64 addresses beside it, too. */
export const networkOf = (ip: string): string => prefix(ip, 32, 64);

/** What somebody gets for nothing, or moves about in: a /24 of IPv4, a /48 of IPv6. */
export const neighbourhoodOf = (ip: string): string => prefix(ip, 24, 48);

/** Every request asks, mostly of few addresses. */
const known = new Map<string, boolean>();
const MAX_KNOWN = 1_000;

/** This machine itself. */
export function isLoopback(ip: string): boolean {
  const found = known.get(ip);
  if (found !== undefined) return found;
  const is = ipaddr.isValid(ip) && ipaddr.process(ip).range() === "loopback";
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(ip, is);
  return is;
}

/** Whether the host of a URL is this machine itself. */
export const isLocalHost = ({ hostname }: URL): boolean =>
  hostname === "localhost" || isLoopback(hostname.replace(/^\[|\]$/gu, ""));
