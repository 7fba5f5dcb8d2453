import { generateKeyPairSync, verify } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "@messenger/core";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAddressGuard } from "./address-guard.ts";
import type { Channel, ChannelEndpoint, PushResult } from "./channel.ts";
import { formatPublicKey, formatSecret } from "./signature.ts";
import { createWebhookChannel } from "./webhook.ts";

const EVENT = {
  inbox: 1,
  seq: 7,
  version: 0,
  id: "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f",
  kind: "message.created",
  messageId: "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f",
  conversation: 3,
  createdAt: "2026-01-02T03:04:05.678Z",
};
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
  const push = (address: string, more: Partial<ChannelEndpoint> = {}) =>
    channel?.push({
      target: channel.prepare({ address, secrets: SECRETS, ...more }),
      event: EVENT,
      content: Buffer.from('{"message":"ü"}'),
      receiver: 2,
    });

  it("is a signed POST that every valid secret verifies", async () => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    expect(await push(`http://127.0.0.1:${port}/hook?a=b`)).toMatchObject({ result: "delivered", status: 204 });
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
    expect(await push(address(port))).toMatchObject({ result: "blocked" });
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
    expect(await push(address(port))).toMatchObject({ result: "transient", code: "EBLOCKED" });
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
    expect(await push(`http://example.test:${port}/`)).toMatchObject({ result: "delivered", status: 204 });
    expect([asked, connections]).toEqual([1, 1]);
  });

  it("does not follow a redirect", async () => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    answer = { status: 307, headers: { location: `http://127.0.0.1:${port}/elsewhere` } };
    expect(await push(`http://127.0.0.1:${port}/`)).toMatchObject({ result: "transient", status: 307 });
    expect(requests).toHaveLength(1);
  });

  it.each([
    ["5", 5_000],
    ["soon", undefined],
  ])("reads a Retry-After of %s", async (header, ms) => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    answer = { status: 503, headers: { "retry-after": header } };
    const result = await push(`http://127.0.0.1:${port}/`);
    expect([result?.status, result?.retryAfterMs]).toEqual([503, ms]);
  });

  it.each<[status: number, PushResult]>([
    ...[200, 201, 202, 204, 299].map((status): [number, PushResult] => [status, { result: "delivered", status }]),
    ...[301, 302, 307, 401, 402, 403, 404, 405, 407, 408, 409, 421, 423, 425, 429, 451, 502, 503, 504, 599].map(
      (status): [number, PushResult] => [status, { result: "transient", status }],
    ),
    ...[500, 501].map((status): [number, PushResult] => [status, { result: "transient", status, mayBeTheEvent: true }]),
    ...[400, 406, 411, 413, 414, 415, 422, 431].map((status): [number, PushResult] => [status, { result: "rejected", status }]),
    [410, { result: "gone", status: 410 }],
  ])("reads an answer of %i", async (status, result) => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    answer = { status };
    expect(await push(`http://127.0.0.1:${port}/`)).toEqual(result);
  });

  it("sends the endpoint's own headers, which replace none of those that sign", async () => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    await push(`http://127.0.0.1:${port}/`, { headers: { "x-api-key": "k", "user-agent": "theirs", "content-type": "text/x" } });
    expect(requests[0]?.headers).toMatchObject({ "x-api-key": "k", "user-agent": "theirs", "content-type": "application/json" });
  });

  it("is signed by ed25519, too, where the endpoint has a key", async () => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    await push(`http://127.0.0.1:${port}/`, { signingKey: privateKey.export({ format: "der", type: "pkcs8" }) });
    const [request] = requests;
    const signatures = String(request?.headers["webhook-signature"]).split(" ");
    const signature = signatures.find((one) => one.startsWith("v1a,"))?.slice(4) ?? "";
    const signed = `${String(request?.headers["webhook-id"])}.${String(request?.headers["webhook-timestamp"])}.${request?.body}`;
    expect(verify(null, Buffer.from(signed), publicKey, Buffer.from(signature, "base64"))).toBe(true);
    expect(formatPublicKey(publicKey)).toMatch(/^whpk_[\w+/]{43}=$/u);
    expect(signatures).toHaveLength(3);
  });

  it.each(["http://example.org:25/", "http://example.org:5432/", "http://example.org:6000/"])(
    "never pushes to a port that no web server has: %s",
    async (address) => {
      open({ resolveName: () => expect.fail("it was asked for") });
      expect(await push(address)).toMatchObject({ result: "blocked" });
    },
  );

  it("says by a code what failed", async () => {
    open({ allowCidrs: ["127.0.0.0/8"] });
    server.close();
    expect(await push(`http://127.0.0.1:${port}/`)).toEqual({ result: "transient", code: "ECONNREFUSED" });
  });
});
