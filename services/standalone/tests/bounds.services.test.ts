import { mkdtemp, mkdir, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apiSettings } from "@messenger/listener";
import { createLogger, readSettings } from "@messenger/runtime";
import { http, waitFor } from "@messenger/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Standalone, startStandalone } from "../src/standalone.ts";

let folder: string;
let proxied: Standalone;
let local: Standalone;

function start(name: string, settings: { trustedProxies: string[]; localHostsOnly: boolean }): Promise<Standalone> {
  return startStandalone(
    {
      dataDir: join(folder, name),
      host: "127.0.0.1",
      port: 0,
      metricsPort: 0,
      metricsHost: "127.0.0.1",
      partitions: 4,
      secret: "a secret of the tests, of more than 32 bytes",
      previousSecrets: [],
      allowCidrs: [],
      tokenTtlSeconds: 3600,
      maxInFlight: 16,
      maxMailboxes: 1_000,
      noticesPerDay: 10_000,
      keepAnswers: "all",
      keepAttemptsDays: 30,
      settings: {
        ...readSettings(apiSettings, {}),
        signUpsPerHour: 5,
        maxStreams: 100,
        ...settings,
      },
    },
    createLogger("test", "silent"),
  );
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "messenger-bounds-"));
  await mkdir(join(folder, "local"), { mode: 0o755 });
  await mkdir(join(folder, "local", "postgres"), { mode: 0o755 });
  proxied = await start("proxied", { trustedProxies: ["127.0.0.1"], localHostsOnly: false });
  local = await start("local", { trustedProxies: [], localHostsOnly: true });
});
afterAll(async () => {
  await proxied.close();
  await local.close();
  await rm(folder, { recursive: true });
});

let names = 0;
function signUp(base: string, from?: string, password = "a good password") {
  names += 1;
  const headers: Record<string, string> = from === undefined ? {} : { "x-forwarded-for": from };
  return http(`${base}/api/users/`, { headers, body: { username: `u${names}`, phone_number: `+4912345${names}`, password } });
}

it("ends a connection whose client does not read its answers, and goes on answering others", async () => {
  const { port } = new URL(local.url);
  const sockets = Array.from({ length: 8 }, () => connect(Number(port), "127.0.0.1"));
  const ended = sockets.map(
    (socket) => new Promise<void>((resolve) => socket.on("close", () => resolve()).on("error", () => undefined)),
  );
  const requests = Buffer.from("GET /api/health/ HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(12_000)); // half a MiB
  for (const socket of sockets) {
    socket.pause();
    socket.write(requests);
  }
  await Promise.all(
    sockets.map(async (socket, n) => {
      const probing = setInterval(() => socket.write("GET /api/health/ HTTP/1.1\r\nHost: localhost\r\n\r\n"), 50);
      await ended[n];
      clearInterval(probing);
    }),
  );
  expect((await http(`${local.url}/api/health/`)).status).toBe(200);
});

it("answers pipelined requests in their order", async () => {
  const { port } = new URL(local.url);
  const socket = connect(Number(port), "127.0.0.1");
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  socket.write("GET /api/health/ HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(40));
  await waitFor(() => text.split("HTTP/1.1 200").length === 41, { what: "40 answers" });
  socket.destroy();
});

it.each([
  ["/api/token/refresh/", 4 * 1024],
  ["/api/login/", 128 * 1024],
  ["/api/users/", 64 * 1024],
  ["/api/messages/", 6 * 65_536 + 32 * 1024],
])("reads no more of a body for %s than it can use: %i bytes, which the refusal says", async (path, bytes) => {
  const token = (await signUp(local.url)).json["access_token"] as string;
  const post = (size: number) => http(`${local.url}${path}`, { body: `"${"x".repeat(size - 2)}"`, token });
  expect((await post(bytes)).status).toBe(400);
  const refused = await post(bytes + 1);
  expect(refused.status).toBe(413);
  expect(refused.text).toContain(`at most ${bytes} bytes`);
});

it("answers to an address or localhost only while nobody else reaches it: no page's name leads here", async () => {
  const ask = (host: string) => http(`${local.url}/api/health/`, { headers: { host } });
  expect((await ask("evil.example:5600")).status).toBe(421);
  for (const host of ["localhost:5000", "127.0.0.1", "[::1]:80", "app.localhost"]) expect((await ask(host)).status).toBe(200);
  expect((await http(`${proxied.url}/api/health/`, { headers: { host: "chat.example" } })).status).toBe(200);
});

it("has answers with tokens kept by nobody", async () => {
  const made = await signUp(local.url);
  expect([made.status, made.headers["cache-control"]]).toEqual([201, "no-store"]);
  const token = made.json["access_token"] as string;
  const found = await http(`${local.url}/api/users/?username=u${names}`, { token });
  expect(found.headers["cache-control"]).toBe("no-store");
});

it("lets a network make so many accounts in an hour, and this machine any number", async () => {
  const statuses: number[] = [];
  for (let n = 0; n < 7; n += 1) statuses.push((await signUp(proxied.url, `2001:db8::${n}`)).status);
  expect(statuses).toEqual([201, 201, 201, 201, 201, 429, 429]);
  expect((await signUp(proxied.url, "2001:db8:0:1::1")).status).toBe(201);
  for (let n = 0; n < 7; n += 1) expect((await signUp(local.url)).status).toBe(201);
});

it("lets people sign in from elsewhere beside a crowd that signs up", async () => {
  const made = await signUp(proxied.url, "198.51.100.1");
  expect(made.status).toBe(201);
  const body = { username: `u${names}`, password: "a good password", user_address: "http://192.0.2.1/", public_key: "key" };
  const over = new AbortController();
  const crowd = Array.from({ length: 60 }, async (_, n) => {
    while (!over.signal.aborted) await signUp(proxied.url, `203.0.113.${n % 4}`);
  });
  for (let n = 0; n < 10; n += 1) {
    const answer = await http(`${proxied.url}/api/login/`, { headers: { "x-forwarded-for": `198.51.100.${n}` }, body });
    expect(answer.status).toBe(200);
  }
  over.abort();
  await Promise.all(crowd);
});

it("keeps its database from other users of the machine, in a folder that was there before, too", async () => {
  const { mode } = await stat(join(folder, "local", "postgres"));
  expect(mode & 0o777).toBe(0o700);
});
