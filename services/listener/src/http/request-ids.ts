import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { BlockList, isIPv6 } from "node:net";

/** As nginx makes them. */
const PROXYS_ID = /^[0-9a-f]{32}$/u;

/** A list of addresses and ranges (CIDR). */
function listOf(addresses: readonly string[]): BlockList {
  const list = new BlockList();
  for (const one of addresses) {
    const [address = "", bits] = one.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/**
 * Names requests: as the proxy in front named them, where there is one that is trusted, and never as a client
 * did.
 */
export function createRequestIds(trustedProxies: readonly string[]): (request: IncomingMessage) => string {
  const trusted = listOf(trustedProxies);
  return (request) => {
    const given = request.headers["x-request-id"];
    const from = request.socket.remoteAddress ?? "";
    const isTrusted = typeof given === "string" && PROXYS_ID.test(given) && trusted.check(from, isIPv6(from) ? "ipv6" : "ipv4");
    return isTrusted ? given : randomUUID();
  };
}
