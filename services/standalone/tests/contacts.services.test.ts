import { createECDH, type ECDH, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Answer, http, type Person, register, sendSurely, waitFor } from "@messenger/testkit";
import { decrypt } from "http_ece";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";
import { type Relay, startRelay } from "./relay.ts";

interface Pushed {
  path: string;
  body: Buffer;
  headers: NodeJS.Dict<string | string[]>;
}

/** What browsers are pushed to by. */
interface PushService {
  server: Server;
  url: string;
  pushed: Pushed[];
  /** Paths of subscriptions that are no more. */
  gone: Set<string>;
}

async function startPushService(): Promise<PushService> {
  const pushed: Pushed[] = [];
  const gone = new Set<string>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url ?? "";
      if (gone.has(path)) {
        response.writeHead(410).end();
        return;
      }
      pushed.push({ path, body: Buffer.concat(chunks), headers: request.headers });
      response.writeHead(201).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pushed, gone };
}

/** A browser's side of a subscription. */
function subscribe(endpoint: string): { json: object; read: (body: Buffer) => Record<string, string> } {
  const browser: ECDH = createECDH("prime256v1");
  const p256dh = browser.generateKeys("base64url");
  const auth = randomBytes(16).toString("base64url");
  return {
    json: { endpoint, expirationTime: null, keys: { p256dh, auth } },
    read: (body) => {
      const text = decrypt(body, { version: "aes128gcm", privateKey: browser, authSecret: auth }).toString();
      return JSON.parse(text) as Record<string, string>;
    },
  };
}

describe.each(deployments)("contacts, $name", ({ name, deploy }) => {
  let deployment: Deployment;
  let relay: Relay;
  let push: PushService;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    relay = await startRelay();
    push = await startPushService();
    deployment = await deploy({
      providers: { email: { smtpUrl: `smtp://127.0.0.1:${relay.port}`, from: "Messenger <m@example.org>" } },
    });
  });
  afterAll(async () => {
    await deployment.close();
    await relay.stop();
    push.server.close();
    push.server.closeAllConnections();
  });

  const base = (): string => deployment.urls[0] as string;

  beforeEach(async () => {
    ada = await register(base());
    bob = await register(base());
  });

  const call = (method: string, path: string, by: Person, body?: unknown): Promise<Answer> =>
    http(`${base()}/api/${path}/`, { method, token: by.token, body });
  const mailsTo = (to: string): Relay["mails"] => relay.mails.filter((mail) => mail.to === to);
  const codeIn = (to: string): string => /\b\d{6}\b/u.exec(mailsTo(to).at(-1)?.text ?? "")?.[0] ?? "";
  const pushesTo = (path: string): Pushed[] => push.pushed.filter((one) => one.path === path);
  const addressOf = (by: Person): string => `${by.name}@example.org`;

  /** Bob's e-mail address, verified. */
  async function contactOfBob(settings: object = {}): Promise<number> {
    const recipient = addressOf(bob);
    const { status, json } = await call("POST", "contacts", bob, { type: "email", recipient, delay_s: 0, ...settings });
    expect({ status, json }).toMatchObject({ status: 201, json: { state: "unverified" } });
    await waitFor(() => codeIn(recipient) !== "", { what: "the code" });
    const id = json["contact_id"] as number;
    const verified = await call("POST", `contacts/${id}/verify`, bob, { code: codeIn(recipient) });
    expect(verified).toMatchObject({ status: 200, json: { state: "active" } });
    return id;
  }
  async function read(by: Person, message: string): Promise<Answer> {
    const { json } = await call("GET", `messages/${message}`, by);
    return call("POST", `conversations/${String(json["conversation_id"])}/read`, by, { message_id: message });
  }
  const noticesToBob = (): Relay["mails"] => mailsTo(addressOf(bob)).slice(1);

  it("are told who wrote, once, and not what was written", async () => {
    await contactOfBob();
    for (let n = 0; n < 5; n += 1) await sendSurely(base(), ada, bob, `the secret plan ${n}`);
    await waitFor(() => noticesToBob().length > 0, { what: "the notice" });
    await sendSurely(base(), ada, bob, "one more");
    const other = await register(base());
    await sendSurely(base(), other, bob, "of another conversation");
    await waitFor(() => noticesToBob().length > 1, { what: "the other notice" });
    const [first, second, ...more] = noticesToBob();
    expect(more).toEqual([]);
    expect(first?.text).toContain(`${ada.name} wrote to you`);
    expect(second?.text).toContain(`${other.name} wrote to you`);
    expect(JSON.stringify(noticesToBob())).not.toMatch(/secret plan|another conversation/u);
  });

  it("are told what was written where they want that, in their language", async () => {
    await contactOfBob({ shows_content: true, language: "de" });
    await sendSurely(base(), ada, bob, "bring <b>the</b> tent");
    await waitFor(() => noticesToBob().length === 1, { what: "the notice" });
    expect(noticesToBob()[0]?.text).toContain("hat Ihnen geschrieben");
    expect(noticesToBob()[0]?.text).toContain("bring <b>the</b> tent");
    expect(noticesToBob()[0]?.text).toContain("bring &lt;b&gt;the&lt;/b&gt; tent");
  });

  it("are not told of what was read before, nor of their own messages", async () => {
    await contactOfBob({ delay_s: 2 });
    expect(await read(bob, await sendSurely(base(), ada, bob, "read at once"))).toMatchObject({ status: 200 });
    await sendSurely(base(), bob, ada, "an answer");
    const other = await register(base());
    await sendSurely(base(), other, bob, "not read");
    await waitFor(() => noticesToBob().length > 0, { what: "the notice of the other" });
    expect(noticesToBob()).toHaveLength(1);
    expect(noticesToBob()[0]?.text).toContain(other.name);
  });

  // It takes half a minute until a relay that took nothing is tried again.
  it.runIf(name === "embedded")("get one e-mail of an outage, and none of what was read in it", async () => {
    await contactOfBob();
    const other = await register(base());
    relay.defer(true);
    const id = await sendSurely(base(), other, bob, "read in the outage");
    await waitFor(() => relay.deferred > 0, { what: "an e-mail that the relay does not take" });
    expect(await read(bob, id)).toMatchObject({ status: 200 });
    let n = 0;
    const client = async (): Promise<void> => {
      for (n += 1; n <= 10_000; n += 1) await sendSurely(base(), ada, bob, `message ${n}`);
    };
    await Promise.all(Array.from({ length: 16 }, client));
    const sorry = await register(base());
    const regretted = await sendSurely(base(), sorry, bob, "regretted");
    expect(await call("DELETE", `messages/${regretted}`, sorry)).toMatchObject({ status: 204 });
    relay.defer(false);
    await waitFor(() => noticesToBob().length > 0, { what: "the notice", timeoutMs: 60_000 });
    // What comes after them on the same way has come: so they have not.
    const later = await register(base());
    await sendSurely(base(), later, bob, "after the outage");
    await waitFor(() => noticesToBob().length > 1, { what: "the notice after that", timeoutMs: 60_000 });
    expect(noticesToBob().map(({ text }) => /^(\S+) wrote to you/mu.exec(text)?.[1])).toEqual([ada.name, later.name]);
  });

  it("can be ended by one click, or on a page, without signing in", async () => {
    const id = await contactOfBob();
    await sendSurely(base(), ada, bob, "hallo");
    await waitFor(() => noticesToBob().length === 1, { what: "the notice" });
    const headers = noticesToBob()[0]?.headers ?? "";
    expect(headers).toMatch(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r?$/imu);
    const path =
      /^List-Unsubscribe: <https:\/\/messenger\.test(\/api\/unsubscribe\/\?token=[\w-]+)>/imu.exec(
        headers.replaceAll(/\r?\n\s+/gu, " "),
      )?.[1] ?? "";
    const page = await fetch(base() + path);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("<button")]);
    expect(await call("GET", `contacts/${id}`, bob)).toMatchObject({ status: 200 });
    const body = new FormData();
    body.set("List-Unsubscribe", "One-Click");
    const clicked = await fetch(base() + path, { method: "POST", body });
    expect([clicked.status, await clicked.text()]).toEqual([200, "No further notice is sent to this address."]);
    expect(await call("GET", `contacts/${id}`, bob)).toMatchObject({ status: 404 });
    const again = await fetch(base() + path, { method: "POST", body: new URLSearchParams({ "List-Unsubscribe": "One-Click" }) });
    expect(again.status).toBe(200);
  });

  it("are used only once a code has come back, of five tries", async () => {
    const recipient = addressOf(bob);
    const { json } = await call("POST", "contacts", bob, { type: "email", recipient, delay_s: 0 });
    const id = json["contact_id"] as number;
    await waitFor(() => codeIn(recipient) !== "", { what: "the code" });
    const code = codeIn(recipient);
    const wrong = code === "000000" ? "000001" : "000000";
    await sendSurely(base(), ada, bob, "not to be told");
    expect(await call("POST", `contacts/${id}/verify`, ada, { code })).toMatchObject({ status: 404 });
    for (let n = 0; n < 5; n += 1) {
      expect(await call("POST", `contacts/${id}/verify`, bob, { code: wrong })).toMatchObject({
        status: 400,
        json: { code: "wrong_code" },
      });
    }
    expect(await call("POST", `contacts/${id}/verify`, bob, { code })).toMatchObject({ status: 400 });
    expect(await call("POST", `contacts/${id}/code`, bob)).toMatchObject({ status: 429, json: { code: "too_many_codes" } });
    expect(await call("GET", `contacts/${id}`, bob)).toMatchObject({ json: { state: "unverified" } });
    expect(mailsTo(recipient)).toHaveLength(1);
  });

  it("can be browsers, which are pushed to encrypted", async () => {
    const { json: key } = await http(`${base()}/api/push-key/`);
    expect(Buffer.from(key["public_key"] as string, "base64url")).toHaveLength(65);
    const browser = subscribe(`${push.url}/of-${bob.name}`);
    const made = await call("POST", "contacts", bob, {
      type: "push",
      subscription: browser.json,
      delay_s: 0,
      shows_content: true,
    });
    expect(made).toMatchObject({ status: 201, json: { state: "active", recipient: push.url } });
    await sendSurely(base(), ada, bob, "hallo");
    await waitFor(() => pushesTo(`/of-${bob.name}`).length > 0, { what: "the push" });
    const [{ body, headers }] = pushesTo(`/of-${bob.name}`) as [Pushed];
    expect(browser.read(body)).toMatchObject({
      title: ada.name,
      body: `${ada.name}: hallo`,
      tag: expect.stringMatching(/^c\d+$/u),
    });
    expect(headers).toMatchObject({
      ttl: "86400",
      topic: expect.stringMatching(/^c\d+$/u),
      authorization: expect.stringContaining(`k=${String(key["public_key"])}`),
    });
    expect(body.toString("latin1")).not.toContain("hallo");
  });

  it("are no browsers any more whose push service says so, unless they subscribe anew", async () => {
    const people = [bob, ...(await Promise.all(Array.from({ length: 4 }, () => register(base()))))];
    const pathsOf = ({ name: of }: Person): string[] => Array.from({ length: 20 }, (_, n) => `/b${n}-of-${of}`);
    for (const person of people) {
      for (const path of pathsOf(person)) {
        const subscription = subscribe(push.url + path).json;
        const made = await call("POST", "contacts", person, { type: "push", subscription, delay_s: 0 });
        expect(made).toMatchObject({ status: 201 });
      }
    }
    const gone = people.flatMap((person) => pathsOf(person).slice(0, 2));
    const anew = gone[0] as string;
    for (const path of gone) push.gone.add(path);
    for (const person of people) await sendSurely(base(), ada, person, "hallo");
    const listed = async (of = bob): Promise<number> =>
      ((await call("GET", "contacts", of)).json["contacts"] as unknown[]).length;
    await waitFor(async () => (await Promise.all(people.map(listed))).every((count) => count === 18), {
      what: "ten of a hundred to be gone",
    });
    const others = people.flatMap((person) => pathsOf(person).slice(2));
    await waitFor(() => others.every((path) => pushesTo(path).length === 1), { what: "the pushes to the others" });
    // The same address, by new keys.
    push.gone.delete(anew);
    const renewed = subscribe(push.url + anew);
    expect(await call("POST", "contacts", bob, { type: "push", subscription: renewed.json, delay_s: 0 })).toMatchObject({
      status: 201,
    });
    expect(await listed()).toBe(19);
    const other = await register(base());
    await sendSurely(base(), other, bob, "hallo again");
    await waitFor(() => pushesTo(anew).length === 1, { what: "the push by the new keys" });
    expect(renewed.read((pushesTo(anew)[0] as Pushed).body)).toMatchObject({ title: other.name });
  });

  it("sends a code once more, after a minute, and not to what is verified", async () => {
    const id = await contactOfBob();
    expect(await call("POST", `contacts/${id}/code`, bob)).toMatchObject({ status: 409, json: { code: "taken" } });
    const { json } = await call("POST", "contacts", ada, { type: "email", recipient: addressOf(ada) });
    const code = `contacts/${String(json["contact_id"])}/code`;
    expect(await call("POST", code, ada)).toMatchObject({ status: 429, json: { code: "too_many_codes" } });
  });

  it("are refused where nobody delivers there", async () => {
    const { status, json } = await call("POST", "contacts", bob, { type: "sms", recipient: "+493012345678" });
    expect({ status, json }).toMatchObject({ status: 400, json: { code: "no_such_channel" } });
  });

  it("are refused where they are none", async () => {
    const { json } = subscribe(`${push.url}/x`);
    const { keys } = json as { keys: { p256dh: string; auth: string } };
    const point = Buffer.from(keys.p256dh, "base64url");
    point[40] = (point[40] as number) ^ 1;
    const refused: [object, string][] = [
      [{ type: "push", subscription: { ...json, keys: { ...keys, p256dh: point.toString("base64url") } } }, "validation_error"],
      [{ type: "push", subscription: { ...json, keys: { ...keys, p256dh: keys.p256dh.slice(2) } } }, "validation_error"],
      [{ type: "push", subscription: { ...json, keys: { ...keys, auth: "AAAA" } } }, "validation_error"],
      [{ type: "push", subscription: { ...json, endpoint: "http://example.org/x" } }, "unusable_address"],
      [{ type: "push", subscription: { ...json, endpoint: "https://10.0.0.1/x" } }, "unusable_address"],
      [{ type: "push", subscription: { ...json, endpoint: "file:///etc/passwd" } }, "unusable_address"],
      [{ type: "push", recipient: "ada@example.org" }, "validation_error"],
      [{ type: "email" }, "validation_error"],
      [{ type: "email", recipient: "ada@@example.org" }, "validation_error"],
      [
        { type: "email", recipient: addressOf(bob), quiet_hours: { from: "22:00", until: "07:00", time_zone: "Mars/Olympus" } },
        "validation_error",
      ],
      [
        { type: "email", recipient: addressOf(bob), quiet_hours: { from: "24:00", until: "07:00", time_zone: "UTC" } },
        "validation_error",
      ],
    ];
    for (const [body, code] of refused) {
      expect({ body, answer: await call("POST", "contacts", bob, body) }).toMatchObject({
        answer: { status: 400, json: { code } },
      });
    }
    expect(await call("GET", "contacts", bob)).toMatchObject({ json: { contacts: [] } });
  });

  it("keep quiet hours, and can be changed and deleted", async () => {
    const id = await contactOfBob({ quiet_hours: { from: "00:00", until: "23:59", time_zone: "UTC" } });
    await sendSurely(base(), ada, bob, "at night");
    const changed = await call("PATCH", `contacts/${id}`, bob, {
      quiet_hours: { from: "22:30", until: "07:05", time_zone: "Europe/Berlin" },
      window_s: 600,
    });
    expect(changed.json).toMatchObject({
      quiet_hours: { from: "22:30", until: "07:05", time_zone: "Europe/Berlin" },
      window_s: 600,
      delay_s: 0,
    });
    expect((await call("PATCH", `contacts/${id}`, bob, { quiet_hours: null })).json).toMatchObject({ quiet_hours: null });
    expect(await call("DELETE", `contacts/${id}`, bob)).toMatchObject({ status: 204 });
    expect(await call("GET", `contacts/${id}`, bob)).toMatchObject({ status: 404, json: { code: "no_such_contact" } });
    expect(noticesToBob()).toEqual([]);
  });
});
