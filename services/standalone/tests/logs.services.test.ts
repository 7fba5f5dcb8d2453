import { createECDH, randomBytes } from "node:crypto";
import { http, logIn, messageBody, register, type ScriptedReceiver, startScriptedReceiver, waitFor } from "@messenger/testkit";
import { afterEach, beforeEach, expect, inject, it } from "vitest";
import { type Cluster, openCluster } from "./cluster.ts";
import { type Relay, startRelay } from "./relay.ts";

let cluster: Cluster;
let receiver: ScriptedReceiver;
let relay: Relay;
beforeEach(async () => {
  receiver = await startScriptedReceiver();
  relay = await startRelay();
  cluster = await openCluster(inject("amqpUrl"), {
    LOG_LEVEL: "trace",
    NOTIFY: "everyone",
    PUSH_ALLOW_CIDRS: "127.0.0.0/8",
    SMTP_URL: `smtp://relay:${RELAY_PASSWORD}@127.0.0.1:${relay.port}`,
    MAIL_FROM: "m@example.org",
    PUBLIC_URL: "https://messenger.test",
    PUSH_PROXY_URL: `http://proxy:${PROXY_PASSWORD}@127.0.0.1:1024`,
    NO_PROXY: "127.0.0.1",
  });
});
afterEach(async () => {
  await cluster.close();
  await relay.stop();
  await receiver.close();
});

const marks: string[] = [];
/** A text that is to be found in no log. */
const mark = (what: string): string => {
  const made = `${what}-${randomBytes(8).toString("hex")}`;
  marks.push(made);
  return made;
};
const RELAY_PASSWORD = mark("relay-password");
const PROXY_PASSWORD = mark("proxy-password");
const keep = (...texts: unknown[]): void => void marks.push(...texts.map(String));

it(
  "no log has what people wrote, where it goes, or what is secret, at any level, whatever goes wrong",
  { timeout: 120_000 },
  async () => {
    const listener = await cluster.startListener();
    const sender = await cluster.startSender();
    const base = cluster.urls()[0] as string;
    const call = (method: string, path: string, token: string | undefined, body?: unknown) =>
      http(`${base}/api/${path}`, { method, ...(token !== undefined && { token }), ...(body !== undefined && { body }) });

    const [ada, bob] = [await register(base), await register(base)];
    keep(ada.token, bob.token, ada.password);
    const { json: session } = await call("POST", "sessions/", undefined, { username: bob.name, password: bob.password });
    keep(session["access_token"], session["refresh_token"]);
    await call("POST", "token/refresh/", undefined, { refresh_token: session["refresh_token"] });
    await call("POST", "sessions/", undefined, { username: bob.name, password: mark("wrong-password") });

    // Pushes that are taken, refused, and fail.
    const { webhookSecret } = await logIn(base, bob, `${receiver.url}/${mark("address")}?key=${mark("query")}`);
    keep(webhookSecret);
    const endpoint = await call("POST", "endpoints/", bob.token, {
      address: `${receiver.url}/${mark("endpoint")}`,
      headers: { "x-key": mark("header") },
      kinds: ["*"],
    });
    expect(endpoint.status).toBe(201);
    keep(endpoint.json["webhook_secret"]);
    await call("POST", "endpoints/", bob.token, { address: `http://user:${mark("url-password")}@example.org/` });
    await call("POST", "endpoints/", bob.token, { address: `https://10.0.0.1/${mark("internal")}` });
    const idempotencyKey = { "idempotency-key": mark("idempotency-key") };
    const send = (text: string) =>
      http(`${base}/api/messages/`, { body: messageBody(ada, bob, text), token: ada.token, headers: idempotencyKey });
    await send(mark("message"));
    await send(mark("other-message"));
    receiver.behave({ status: 503 });
    await http(`${base}/api/messages/`, { body: messageBody(ada, bob, mark("failing")), token: ada.token });
    await waitFor(() => receiver.arrivals.length >= 4, { what: "pushes" });

    // E-mails that are sent, refused, and fail.
    const [taken, refused] = [`${mark("taken")}@example.org`, `${mark("refused")}@example.org`];
    relay.refuse(refused);
    for (const recipient of [taken, refused]) {
      const made = await call("POST", "notifications/", ada.token, {
        type: "email",
        recipient,
        content: mark("content"),
        subject: mark("subject"),
      });
      expect(made.status).toBe(202);
    }
    await call("POST", "notifications/", ada.token, {
      type: "email",
      recipient: `${mark("no address")}@`,
      content: mark("lost"),
    });
    await waitFor(() => relay.mails.length > 0, { what: "an e-mail" });

    // Codes, notices, browsers.
    const recipient = `${mark("contact")}@example.org`;
    const contact = await call("POST", "contacts/", bob.token, { type: "email", recipient, delay_s: 0, shows_content: true });
    const id = String(contact.json["contact_id"]);
    const codeMail = await waitFor(() => relay.mails.find((mail) => mail.to === recipient), { what: "a code" });
    const code = /\b\d{6}\b/u.exec(codeMail.text)?.[0] as string;
    await call("POST", `contacts/${id}/verify/`, bob.token, { code: code === "000000" ? "000001" : "000000" });
    expect((await call("POST", `contacts/${id}/verify/`, bob.token, { code })).status).toBe(200);
    const subscription = {
      endpoint: `${receiver.url}/${mark("subscription")}`,
      keys: { p256dh: createECDH("prime256v1").generateKeys("base64url"), auth: randomBytes(16).toString("base64url") },
    };
    keep(subscription.keys.p256dh, subscription.keys.auth);
    expect((await call("POST", "contacts/", bob.token, { type: "push", subscription, delay_s: 0 })).status).toBe(201);
    await http(`${base}/api/messages/`, { body: messageBody(ada, bob, mark("told")), token: ada.token });
    const notice = await waitFor(() => relay.mails.filter((mail) => mail.to === recipient)[1], { what: "a notice" });
    const token = /unsubscribe\/\?token=([\w-]+)/u.exec(
      notice.text.replaceAll("=\r\n", "").replaceAll("=3D", "="),
    )?.[1] as string;
    expect(token.length).toBeGreaterThan(10);
    keep(token);
    expect((await http(`${base}/api/unsubscribe/?token=${token}`, { method: "POST" })).status).toBe(200);

    // What nobody should send.
    await http(`${base}/api/users/?username=${mark("searched")}`, { token: bob.token });
    await call("POST", "messages/", ada.token, { message: mark("malformed"), sender_id: "x" });
    await call(
      "PUT",
      `messages/0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f/reactions/${encodeURIComponent(`${mark("emoji")}👍`)}/`,
      bob.token,
    );
    await call("PUT", `messages/0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f/reactions/${mark("text")}/`, bob.token);
    await http(`${base}/api/events/?after=0&ticket=${mark("ticket")}`, { token: mark("bad-token") });
    const last = await call("GET", "conversations/", bob.token);
    await waitFor(() => listener.output.includes(String(last.headers["x-request-id"])), { what: "the last line of the log" });

    const output = listener.output + sender.output;
    expect(output).toContain('"msg":"attempt"');
    expect(output).toContain('"msg":"request"');
    expect(marks.filter((text) => output.includes(text))).toEqual([]);
    expect(output.split("\n").filter((line) => line.includes("contacts/") && line.includes(code))).toEqual([]);
  },
);
