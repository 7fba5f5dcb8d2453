import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { systemClock } from "@messenger/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAddressGuard } from "./address-guard.ts";
import { checkProxyUrl } from "./egress-proxy.ts";
import { matchesHost } from "./hosts.ts";
import { createPoster, type PostAnswer } from "./poster.ts";
import { createWebhookChannel } from "./webhook.ts";

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

describe("pushing through a proxy", () => {
  let proxy: Server;
  let target: Server;
  /** What the proxy was asked for. */
  let asked: { target: string | undefined; authorization: string | undefined }[];
  /** What it answers instead of connecting. */
  let refusal: number | undefined;
  let arrived: string[];

  beforeEach(async () => {
    asked = [];
    arrived = [];
    refusal = undefined;
    target = createServer((request, response) => {
      arrived.push(request.headers.host ?? "");
      request.resume().on("end", () => response.writeHead(204).end());
    });
    proxy = createServer();
    proxy.on("connect", (request, socket: Socket, head: Buffer) => {
      asked.push({ target: request.url, authorization: request.headers["proxy-authorization"] });
      if (refusal !== undefined) {
        socket.end(`HTTP/1.1 ${refusal} No\r\n\r\n`);
        return;
      }
      const [host = "", port] = (request.url ?? "").split(":");
      const through = connect(Number(port), host, () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        through.write(head);
        through.pipe(socket).pipe(through);
      });
      through.on("error", () => socket.destroy());
      socket.on("error", () => through.destroy());
    });
    for (const server of [target, proxy]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
  });
  afterEach(() => {
    for (const server of [target, proxy]) {
      server.close();
      server.closeAllConnections();
    }
  });

  const guardOf = (allowCidrs: readonly string[] = ["127.0.0.0/8"]) =>
    createAddressGuard({ allowCidrs, resolveName: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]) });

  async function post(
    origin: string,
    options: { except?: string[]; allowCidrs?: string[]; url?: string } = {},
  ): Promise<PostAnswer> {
    const { except = [], url = `http://us%20er:pass@127.0.0.1:${portOf(proxy)}` } = options;
    const poster = createPoster({ guard: guardOf(options.allowCidrs), clock: systemClock, proxy: { url, except } });
    try {
      return await poster.post({ origin, path: "/", headers: {}, body: Buffer.from("{}"), timeoutMs: 2_000 });
    } finally {
      await poster.close();
    }
  }

  it("goes to the address that was vetted, and names the host to nobody but the target", async () => {
    const origin = `http://hooks.test:${portOf(target)}`;
    expect(await post(origin)).toMatchObject({ status: 204 });
    const authorization = `Basic ${Buffer.from("us er:pass").toString("base64")}`;
    expect(asked).toEqual([{ target: `127.0.0.1:${portOf(target)}`, authorization }]);
    expect(arrived).toEqual([`hooks.test:${portOf(target)}`]);
  });

  it("asks for nothing that policy does not allow", async () => {
    expect(await post(`http://hooks.test:${portOf(target)}`, { allowCidrs: [] })).toMatchObject({ code: "EBLOCKED" });
    expect(asked).toEqual([]);
  });

  it("speaks TLS with the target, not with the proxy", async () => {
    const hello: Buffer[] = [];
    const listening = createTcpServer((socket) => socket.once("data", (chunk: Buffer) => socket.end(void hello.push(chunk))));
    listening.listen(0, "127.0.0.1");
    await once(listening, "listening");
    try {
      expect(await post(`https://hooks.test:${portOf(listening)}`)).not.toHaveProperty("status");
      expect(Buffer.concat(hello)[0]).toBe(22); // a handshake
      expect(Buffer.concat(hello).toString("latin1")).toContain("hooks.test"); // the name that it asks for
    } finally {
      listening.close();
    }
  });

  it("leaves it where a host is excepted", async () => {
    expect(await post(`http://hooks.test:${portOf(target)}`, { except: [".test"] })).toMatchObject({ status: 204 });
    expect(asked).toEqual([]);
  });

  it.each([403, 407])("is the proxy's fault where it answers %i", async (status) => {
    refusal = status;
    expect(await post(`http://hooks.test:${portOf(target)}`)).toMatchObject({
      code: "EPROXY",
      detail: `the proxy answered ${status}`,
    });
  });

  it("is the proxy's fault where nobody listens, and the endpoint's where the proxy cannot reach it", async () => {
    expect(await post("http://hooks.test", { url: "http://127.0.0.1:1024" })).toMatchObject({ code: "EPROXY" });
    refusal = 502;
    expect(await post("http://hooks.test")).toMatchObject({ code: "EHOSTUNREACH" });
  });

  it("does not count against an endpoint where the proxy is at fault", async () => {
    refusal = 407;
    const url = `http://127.0.0.1:${portOf(proxy)}`;
    const channel = createWebhookChannel({ guard: guardOf(), clock: systemClock, proxy: { url } });
    const target = channel.prepare({ address: "http://hooks.test/", secrets: [new Uint8Array(24)] });
    const event = {
      inbox: 1,
      seq: 1,
      version: 0,
      id: "e",
      kind: "endpoint.test",
      messageId: null,
      conversation: null,
      createdAt: "",
    };
    const result = await channel.push({ target, event, content: new Uint8Array(), receiver: 1 });
    expect(result).toMatchObject({ result: "transient", code: "EPROXY", isProvidersFault: true });
    await channel.close();
  });
});

it.each([
  [["*"], "any.example", 80, true],
  [["hooks.example"], "HOOKS.example", 443, true],
  [["hooks.example"], "a.hooks.example", 443, false],
  [[".example"], "a.b.example", 443, true],
  [["*.example"], "a.example", 443, true],
  [[".example"], "example", 443, true],
  [[".example"], "notexample", 443, false],
  [["hooks.example:8080"], "hooks.example", 80, false],
  [["hooks.example:8080"], "hooks.example", 8080, true],
  [["10.0.0.5"], "10.0.0.5", 80, true],
  [[], "hooks.example", 80, false],
])("the exceptions %j from the proxy hold for %s, port %i: %s", (except, host, port, holds) => {
  expect(matchesHost(except, host, port)).toBe(holds);
});

it("a proxy is a URL of HTTP without a path", () => {
  for (const url of ["http://proxy:3128", "https://user:pw@proxy.example"]) expect(() => checkProxyUrl(url)).not.toThrow();
  for (const url of ["proxy:3128", "socks5://proxy", "http://proxy/path", ""])
    expect(() => checkProxyUrl(url)).toThrow("expected");
});
