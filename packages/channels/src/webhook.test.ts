import { createSecretKey } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "@messenger/core";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAddressGuard } from "./address-guard.ts";
import type { Channel } from "./channel.ts";
import { formatSecret } from "./signature.ts";
import { createWebhookChannel } from "./webhook.ts";

const SECRETS = [new Uint8Array(24).fill(1), new Uint8Array(24).fill(2)];

describe("a webhook", () => {
  let server: Server;
  let port: number;
  let connections: number;
  let requests: { headers: IncomingHttpHeaders; body: string }[];
  let answer: { status: number; headers?: Record<string, string> };
  let channel: Channel | undefined;

  beforeEach(async () => {
    connections = 0;
    requests = [];
    answer = { status: 204 };
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        requests.push({ headers: request.headers, body });
        response.writeHead(answer.status, answer.headers).end();
      });
    });
    server.on("connection", () => (connections += 1));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  });
  afterEach(async () => {
    await channel?.close();
    server.close();
    server.closeAllConnections();
  });

  function open(options: Parameters<typeof createAddressGuard>[0]): Channel {
    channel = createWebhookChannel({ guard: createAddressGuard(options), clock: systemClock });
    return channel;
  }
  const push = (address: string) =>
    channel?.push({
      target: channel.prepare(address),
      id: "msg_1",
      body: Buffer.from('{"message":"ü"}'),
      secrets: SECRETS.map((secret) => createSecretKey(secret)),
    });

  it("is a signed POST that every valid secret verifies", async () => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    expect(await push(`http://127.0.0.1:${port}/hook?a=b`)).toMatchObject({ kind: "answered", status: 204 });
    const [request] = requests;
    for (const secret of SECRETS) {
      new Webhook(formatSecret(secret)).verify(request?.body as string, request?.headers as Record<string, string>);
    }
    expect(() =>
      new Webhook(formatSecret(new Uint8Array(24).fill(3))).verify(request?.body as string, request?.headers as never),
    ).toThrow();
  });

  it.each([
    ["a literal address that is refused", (at: number) => `http://127.0.0.1:${at}/`, {}],
    ["the same in decimal", (at: number) => `http://2130706433:${at}/`, {}],
    ["the same mapped to IPv6", (at: number) => `http://[::ffff:127.0.0.1]:${at}/`, {}],
  ])("opens no socket to %s, for good", async (_name, address, options) => {
    open(options);
    expect(await push(address(port))).toMatchObject({ kind: "refused" });
    expect(connections).toBe(0);
  });

  it.each([
    ["localhost", (at: number) => `http://localhost:${at}/`, {}],
    [
      "a name with a public and a private address",
      (at: number) => `http://example.test:${at}/`,
      {
        resolveName: () =>
          Promise.resolve([
            { address: "93.184.216.34", family: 4 as const },
            { address: "127.0.0.1", family: 4 as const },
          ]),
      },
    ],
  ])("opens no socket to %s, for now: a name may lead elsewhere tomorrow", async (_name, address, options) => {
    open(options);
    expect(await push(address(port))).toEqual({ kind: "failed", error: "EBLOCKED" });
    expect(connections).toBe(0);
  });

  it("connects to the address that was vetted, without resolving the name again", async () => {
    let asked = 0;
    open({
      allowCidrs: ["127.0.0.1/32"],
      resolveName() {
        asked += 1;
        return Promise.resolve([{ address: asked === 1 ? "127.0.0.1" : "10.0.0.1", family: 4 as const }]);
      },
    });
    expect(await push(`http://example.test:${port}/`)).toMatchObject({ kind: "answered", status: 204 });
    expect([asked, connections]).toEqual([1, 1]);
  });

  it("does not follow a redirect", async () => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    answer = { status: 307, headers: { location: `http://127.0.0.1:${port}/elsewhere` } };
    expect(await push(`http://127.0.0.1:${port}/`)).toMatchObject({ kind: "answered", status: 307 });
    expect(requests).toHaveLength(1);
  });

  it.each([
    ["5", 5_000],
    ["soon", undefined],
  ])("reads a Retry-After of %s", async (header, ms) => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    answer = { status: 503, headers: { "retry-after": header } };
    expect(await push(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 503, retryAfterMs: ms });
  });

  it("says by a code what failed", async () => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    server.close();
    expect(await push(`http://127.0.0.1:${port}/`)).toEqual({ kind: "failed", error: "ECONNREFUSED" });
  });
});
