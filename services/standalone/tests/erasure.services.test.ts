import { randomBytes } from "node:crypto";
import {
  http,
  logIn,
  PASSWORD,
  patiently,
  type Person,
  register,
  type ScriptedReceiver,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { beginErasure, restoreUser } from "@messenger/store";
import { importJWK, type JWK, jwtVerify } from "jose";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { dump as dumpOf } from "./database-dump.ts";
import { newPart, openListener, openSender, SECRET } from "./deployments.ts";
import { type Relay, startRelay } from "./relay.ts";

describe("erasing an account", () => {
  let part: Awaited<ReturnType<typeof newPart>>;
  let relay: Relay;
  let receiver: ScriptedReceiver;
  let base: string;
  let bob: Person;

  beforeEach(async () => {
    relay = await startRelay();
    receiver = await startScriptedReceiver();
    part = await newPart();
    const email = { smtpUrl: `smtp://127.0.0.1:${relay.port}`, from: "Messenger <m@example.org>" };
    await openSender(part, "sender", { providers: { email } });
    base = (await openListener(part)).url;
    bob = await register(base);
  });
  afterEach(async () => {
    await part.closing.closeAll();
    await receiver.close();
    await relay.stop();
  });

  const call = (method: string, path: string, token: string, body?: unknown) =>
    http(`${base}/api/${path}`, { method, token, accept: "application/json", ...(body !== undefined && { body }) });

  async function dump(): Promise<string> {
    let text = "";
    await patiently(part.databaseUrl, async (db) => void (text = await dumpOf(db, SECRET)));
    return text;
  }

  it("leaves none of what was known of it, and says what it erased, signed", async () => {
    const mark = (what: string): string => `${what}${randomBytes(6).toString("hex")}`;
    const personal = {
      username: mark("user"),
      phone_number: `+49 30 ${String(Math.random()).slice(2, 12)}`,
      email: `${mark("mail")}@example.org`,
      full_name: mark("Full"),
    };
    const made = await http(`${base}/api/users/`, { body: { ...personal, password: PASSWORD } });
    const ada: Person = {
      ...bob,
      id: made.json["user_id"] as number,
      name: personal.username,
      token: made.json["access_token"] as string,
    };
    const others = {
      about: mark("about"),
      device: mark("device"),
      contact: `${mark("contact")}@example.org`,
      token: mark("token"),
    };
    const path = mark("hook");
    await call("PATCH", "users/me", ada.token, { about: others.about, found_by_email: true });
    await logIn(base, ada, `${receiver.url}/${path}`);
    const session = await http(`${base}/api/sessions/`, {
      body: { username: ada.name, password: PASSWORD, device_name: others.device, public_key: mark("key") },
    });
    expect(session.status).toBe(201);
    await call("POST", "tokens", ada.token, { name: others.token, scopes: ["messages:read"], password: PASSWORD });
    const contact = await call("POST", "contacts", ada.token, { type: "email", recipient: others.contact });
    expect(contact.status).toBe(201);
    await call("POST", "users/me/totp", ada.token, { password: PASSWORD });
    await call("PUT", `users/${bob.id}/block`, ada.token);
    await call("DELETE", `users/${bob.id}/block`, ada.token);
    await sendSurely(base, ada, bob, "stays with Bob");
    await sendSurely(base, bob, ada, "to Ada");
    await waitFor(() => receiver.arrivals.length === 1 && relay.mails.length === 1, { what: "what was sent to her" });
    const looked = [...Object.values(personal), ...Object.values(others), path].map((text) => text.toLowerCase());
    const before = await dump();
    const stored = looked.filter((text) => before.includes(text));
    expect(stored.length).toBeGreaterThan(7); // it would be found

    const gone = await call("DELETE", "users/me", ada.token, { password: PASSWORD });
    expect(gone).toMatchObject({ status: 200, json: { user_id: ada.id } });
    const key = await importJWK((await call("GET", "receipt-key", "")).json as JWK, "EdDSA");
    const { payload } = await jwtVerify(gone.json["receipt"] as string, key, { issuer: "messenger", subject: String(ada.id) });
    expect(payload["erased"]).toMatchObject({ sessions: 3, api_tokens: 1, endpoints: 1, contacts: 1, events: 2 });

    const left = async () => {
      const after = await dump();
      return looked.filter((text) => after.includes(text));
    };
    await waitFor(async () => (await left()).length === 0, {
      what: `nothing to be left of ${(await left()).join()}`,
      timeoutMs: 10_000,
    });
    expect(await call("GET", "users/me", ada.token)).toMatchObject({ status: 401 });
    expect((await call("GET", `users?q=${personal.username}`, bob.token)).json).toEqual({ users: [] });
    const again = await http(`${base}/api/users/`, { body: { ...personal, password: PASSWORD } });
    expect(again.status).toBe(201);
    const conversations = await call("GET", "conversations", again.json["access_token"] as string);
    expect(conversations.json).toMatchObject({ conversations: [] });
  });

  /** A person whose name is in what they wrote, in groups that they are in, or were, and in what others are told of them. */
  async function somebodyWhoWrites(): Promise<Person> {
    const eve = await register(base);
    for (const leaves of [false, true]) {
      const made = await call("POST", "conversations", bob.token, { title: "Engines", member_ids: [] });
      const { conversation_id: group } = made.json["conversation"] as { conversation_id: number };
      await call("POST", `conversations/${group}/members`, bob.token, { user_id: eve.id });
      const said = await call("POST", `conversations/${group}/messages`, eve.token, { message: "hello all" });
      await call("PATCH", `messages/${String(said.json["message_id"])}`, eve.token, { message: "hello everybody" });
      if (leaves) await call("DELETE", `conversations/${group}/members/${eve.id}`, eve.token);
    }
    const id = await sendSurely(base, eve, bob, "to Bob alone");
    await call("POST", `messages/${id}/report`, bob.token, { reason: "spam" });
    expect(await dump()).toContain(eve.name);
    return eve;
  }
  const textsOf = async (): Promise<[string, string][]> => {
    const { messages } = (await call("GET", "messages", bob.token)).json as {
      messages: { message: string; sender_username: string }[];
    };
    return messages.map(({ message, sender_username: name }) => [message, name]);
  };

  it("erases what nobody else could read any more", async () => {
    const eve = await register(base);
    await sendSurely(base, eve, eve, "a note to herself");
    expect(await dump()).toContain("a note to herself");
    expect((await call("DELETE", "users/me", eve.token, { password: PASSWORD })).status).toBe(200);
    expect(await dump()).not.toContain("a note to herself");
  });

  it("takes the name from what was sent, which others keep", async () => {
    const eve = await somebodyWhoWrites();
    expect((await call("DELETE", "users/me", eve.token, { password: PASSWORD })).status).toBe(200);
    expect(await dump()).not.toContain(eve.name);
    expect(await textsOf()).toEqual([
      ["to Bob alone", "deleted account"],
      ["hello everybody", "deleted account"],
      ["hello everybody", "deleted account"],
    ]);
    const nobody = { username: "deleted account", phone_number: "+49 30 1234567", password: PASSWORD };
    expect((await http(`${base}/api/users/`, { body: nobody })).status).toBe(400);
  });

  it("erases what was sent, too, where the operator wants that, and tells those who take part", async () => {
    base = (await openListener({ ...part, settings: { deletedMessages: "erased" } })).url;
    const eve = await somebodyWhoWrites();
    expect((await call("DELETE", "users/me", eve.token, { password: PASSWORD })).status).toBe(200);
    const left = await dump();
    for (const text of [eve.name, "hello all", "hello everybody", "to bob alone"])
      expect([text, left.includes(text)]).toEqual([text, false]);
    expect(await textsOf()).toEqual([]);
    const { events } = (await call("GET", "events?after=0", bob.token)).json as { events: { type: string }[] };
    expect(events.filter(({ type }) => type === "message.deleted")).toHaveLength(2); // of the group that she had left, nobody is told
  });

  it("goes on where another listener broke off", async () => {
    const eve = await somebodyWhoWrites();
    const { db } = part.database.store;
    await beginErasure(db, eve.id); // and the process ends
    expect((await http(`${base}/api/sessions/`, { body: { username: eve.name, password: PASSWORD } })).status).toBe(403);
    expect(await restoreUser(db, "test", eve.id)).toBe(false);
    await sql`update users set deleting_at = now() - interval '2 minutes' where id = ${eve.id}`.execute(db);
    await openListener(part);
    await waitFor(async () => !(await dump()).includes(eve.name), { what: "nothing to be left of her" });
    expect((await call("GET", `users?username=${eve.name}`, bob.token)).status).toBe(404);
  });

  it("needs a code, too, where there is an authenticator", async () => {
    const begun = await call("POST", "users/me/totp", bob.token, { password: PASSWORD });
    expect(begun.status).toBe(201);
    await patiently(part.databaseUrl, async (db) => {
      await sql`update totp set confirmed_at = now() where user_id = ${bob.id}`.execute(db);
    });
    expect(await call("DELETE", "users/me", bob.token, { password: PASSWORD })).toMatchObject({
      status: 400,
      json: { code: "wrong_code" },
    });
    expect(await call("DELETE", "users/me", bob.token, { password: PASSWORD, totp_code: "000000" })).toMatchObject({
      status: 400,
    });
    expect(await call("GET", "users/me", bob.token)).toMatchObject({ status: 200 });
  });
});
