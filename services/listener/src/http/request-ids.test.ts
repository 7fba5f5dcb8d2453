import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { createRequestIds } from "./request-ids.ts";

const ID = "0123456789abcdef0123456789abcdef";

function idOf(trusted: string[], from: string, id: string | undefined): string {
  return createRequestIds(trusted)({
    headers: { "x-request-id": id },
    socket: { remoteAddress: from },
  } as unknown as IncomingMessage);
}

describe("a request's id", () => {
  it.each([
    ["an address", ["192.0.2.1"], "192.0.2.1"],
    ["a range", ["192.0.2.0/24"], "192.0.2.77"],
    ["an address that is written as one of IPv6", ["192.0.2.0/24"], "::ffff:192.0.2.77"],
    ["an IPv6 range", ["2001:db8::/32"], "2001:db8::1"],
  ])("is the proxy's, which is trusted by %s", (_what, trusted, from) => {
    expect(idOf(trusted, from, ID)).toBe(ID);
  });

  it.each([
    ["nobody is trusted", [], "192.0.2.1", ID],
    ["it comes from elsewhere", ["192.0.2.0/24"], "198.51.100.1", ID],
    ["it is not as a proxy makes them", ["192.0.2.0/24"], "192.0.2.1", 'x" injected="'],
    ["there is none", ["192.0.2.0/24"], "192.0.2.1", undefined],
  ])("is one of our own where %s", (_what, trusted, from, id) => {
    expect(idOf(trusted, from, id)).toMatch(/^[0-9a-f-]{36}$/u);
  });
});
