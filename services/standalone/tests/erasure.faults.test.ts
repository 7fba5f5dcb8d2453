import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Answer,
  type BreakableServer,
  countQueued,
  http,
  logIn,
  PASSWORD,
  type Person,
  register,
  type ScriptedReceiver,
  type ServiceProcess,
  startRabbit,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Cluster, openCluster, PARTITIONS } from "./cluster.ts";
import { dump } from "./database-dump.ts";
import { SECRET } from "./deployments.ts";
import { figure } from "./figure.ts";
import { startLoad } from "./load.ts";
import { type Relay, startRelay } from "./relay.ts";

const WRITTEN = 3_000;
const mark = (what: string): string => `${what}${randomBytes(6).toString("hex")}`;

/** What the files of a folder hold; those that go meanwhile are left out. */
async function readAll(folder: string): Promise<string> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const texts = files
    .filter((file) => file.isFile())
    .map(async (file) => (await readFile(join(file.parentPath, file.name)).catch(() => Buffer.alloc(0))).toString("latin1"));
  return (await Promise.all(texts)).join("\n").toLowerCase();
}

describe("an account that is erased while its listeners are killed", () => {
  let cluster: Cluster;
  let rabbit: BreakableServer;
  let receiver: ScriptedReceiver;
  let relay: Relay;
  const logs: ServiceProcess[] = [];

  beforeEach(async () => {
    relay = await startRelay();
    receiver = await startScriptedReceiver();
    rabbit = await startRabbit();
    cluster = await openCluster(rabbit.url, {
      SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
      MAIL_FROM: "m@example.org",
      SIGN_UPS_PER_HOUR: "100000",
    });
  });
  afterEach(async () => {
    await cluster.close();
    await rabbit.stop();
    await receiver.close();
    await relay.stop();
  });

  const call = (method: string, path: string, token: unknown, body?: object): Promise<Answer> =>
    http(`${cluster.urls()[0] as string}/api/${path}`, {
      method,
      token: String(token),
      accept: "application/json",
      ...(body !== undefined && { body }),
    });
  const made = async (method: string, path: string, token: unknown, body?: object): Promise<Record<string, unknown>> => {
    const { status, json } = await call(method, path, token, body);
    expect([path, status < 300, json]).toEqual([path, true, json]);
    return json;
  };
  const startListener = async (): Promise<ServiceProcess> => {
    const listener = await cluster.startListener();
    logs.push(listener);
    return listener;
  };

  it("leaves nothing of it in the database, in RabbitMQ, in logs or in any answer", async () => {
    let listeners = [await startListener(), await startListener()];
    logs.push(await cluster.startSender());
    const { db } = cluster.database.store;
    const base = (): string => cluster.urls()[0] as string;
    const [bob, carl] = [await register(base()), await register(base())];
    await logIn(base(), bob, `${receiver.url}/bob`);
    await made("POST", "contacts/", bob.token, { type: "email", recipient: "bob@example.org", delay_s: 0, window_s: 60 });
    const code = await waitFor(() => /\b\d{6}\b/u.exec(relay.mails[0]?.text ?? "")?.[0], { what: "Bob's code" });
    const [contact] = (await made("GET", "contacts/", bob.token))["contacts"] as { contact_id: number }[];
    await made("POST", `contacts/${String(contact?.contact_id)}/verify/`, bob.token, { code });

    // Eve has something of everything.
    const own = {
      username: mark("eve"),
      phone_number: `+49 30 ${String(Math.random()).slice(2, 12)}`,
      email: `${mark("mail")}@example.org`,
      full_name: `${mark("Eve")} ${mark("Everson")}`,
    };
    const others = {
      about: mark("about"),
      device: mark("device"),
      token: mark("token"),
      contact: `${mark("contact")}@example.org`,
      hook: mark("hook"),
      header: mark("header"),
      comment: mark("comment"),
      bot: mark("bot"),
      group: mark("left"),
    };
    const { user_id: id, access_token: token } = (await http(`${base()}/api/users/`, { body: { ...own, password: PASSWORD } }))
      .json;
    const eve: Person = { ...bob, id: Number(id), name: own.username, token: String(token) };
    await made("PATCH", "users/me/", eve.token, { about: others.about, found_by_email: true, found_by_phone: true });
    await logIn(base(), eve, `${receiver.url}/${others.hook}`);
    const body = { username: eve.name, password: PASSWORD, device_name: others.device };
    expect((await http(`${base()}/api/sessions/`, { body })).status).toBe(201);
    await made("POST", "tokens/", eve.token, { name: others.token, scopes: ["messages:read"], password: PASSWORD });
    await made("POST", "contacts/", eve.token, { type: "email", recipient: others.contact });
    await made("POST", "endpoints/", eve.token, {
      address: `${receiver.url}/${others.hook}/2`,
      headers: { "x-own": others.header },
    });
    await made("POST", "bots/", eve.token, { username: others.bot, full_name: others.bot });
    await made("PUT", `users/${carl.id}/block/`, eve.token);
    const groups: number[] = [];
    for (const leaves of [false, true]) {
      const group = await made("POST", "conversations/", bob.token, { title: "Engines", member_ids: [carl.id] });
      const { conversation_id: conversation } = group["conversation"] as { conversation_id: number };
      groups.push(conversation);
      await made("POST", `conversations/${conversation}/members/`, bob.token, { user_id: eve.id });
      const said = await made("POST", `conversations/${conversation}/messages/`, eve.token, { message: "hello all" });
      await made("PATCH", `messages/${String(said["message_id"])}/`, eve.token, { message: "hello everybody" });
      // Bob is told of it by e-mail, also in the group that she leaves then.
      await waitFor(() => relay.mails.filter(({ headers }) => headers.includes("Everson")).length === groups.length, {
        what: "a notice that names her",
        timeoutMs: 60_000,
      });
      if (leaves) await made("DELETE", `conversations/${conversation}/members/${eve.id}/`, eve.token);
    }
    const { json: notes } = await http(`${base()}/api/conversations/`, {
      token: eve.token,
      body: { title: others.group, member_ids: [] },
      headers: { "idempotency-key": "notes" },
    });
    await made(
      "POST",
      `conversations/${String((notes["conversation"] as { conversation_id: number }).conversation_id)}/messages/`,
      eve.token,
      {
        message: `for ${others.group} alone`,
      },
    );
    const toBob = { from: eve, to: bob, text: "to Bob" };
    const written = startLoad({ urls: cluster.urls, messages: Array.from({ length: WRITTEN }, () => toBob), concurrency: 32 });
    await written.done;
    expect(written.answered.size).toBe(WRITTEN);
    const [one] = [...written.answered];
    await made("POST", `messages/${String(one)}/report/`, bob.token, { reason: "spam" });
    const { json: fromBob } = await call("POST", "messages/", bob.token, {
      message: "to Eve",
      sender_id: bob.id,
      sender_username: bob.name,
      receiver_id: eve.id,
      send_date: "2026-01-02 03:04:05",
    });
    await made("POST", `messages/${String(fromBob["message_id"])}/report/`, eve.token, {
      reason: "other",
      comment: others.comment,
    });
    const looked = [...Object.values(own), ...own.full_name.split(" "), ...Object.values(others)].map((text) =>
      text.toLowerCase(),
    );
    const before = await dump(db, SECRET);
    expect(looked.filter((text) => !before.includes(text))).toEqual([]); // all of it would be found

    // Others go on, and she deletes her account; the process that does so is killed in the middle, and its successor, too.
    const load = startLoad({
      urls: cluster.urls,
      messages: Array.from({ length: 4_000 }, (_, n) => ({
        from: n % 2 === 0 ? bob : carl,
        to: n % 2 === 0 ? carl : bob,
        text: `n ${n}`,
      })),
      concurrency: 4,
    });
    const deleting = call("DELETE", "users/me/", eve.token, { password: PASSWORD }).catch(() => undefined);
    const hasBegun = async (): Promise<boolean> =>
      (await sql`select from users where id = ${eve.id} and deleting_at is not null`.execute(db)).rows.length > 0;
    await waitFor(hasBegun, { what: "the erasure to begin" });
    const mentions = async (): Promise<number> => (await dump(db, SECRET)).split(own.username).length - 1;
    const leftAfter: number[] = [];
    for (let n = 0; n < 2; n += 1) {
      await Promise.all(listeners.map((listener) => cluster.end(listener, "SIGKILL")));
      leftAfter.push(await mentions());
      expect(leftAfter.at(-1)).toBeGreaterThan(0);
      // As after the minute that others wait for a sign of life.
      await sql`update users set deleting_at = now() - interval '2 minutes' where deleting_at is not null`.execute(db);
      listeners = [await startListener(), await startListener()];
      if (n > 0) break;
      await waitFor(async () => (await mentions()) < (leftAfter[0] as number), { what: "another listener to take it over" });
    }
    await deleting;
    figure("mentions of the name after each kill", leftAfter.join(", "));

    const left = async (): Promise<string[]> => {
      const text = await dump(db, SECRET);
      return looked.filter((word) => text.includes(word));
    };
    await waitFor(async () => (await left()).length === 0, {
      what: "nothing to be left in the database",
      timeoutMs: 90_000,
    }).catch(async (error: unknown) => {
      throw new Error(`left: ${(await left()).join(", ")}`, { cause: error });
    });
    await load.done;
    expect(await left()).toEqual([]);

    // RabbitMQ: nothing of it waits, and none of it is in its files.
    await waitFor(async () => (await countQueued(rabbit.url, cluster.namespace, PARTITIONS)) === 0, {
      what: "the queues to be empty",
      timeoutMs: 60_000,
    });
    if (rabbit.folder === undefined) figure("RabbitMQ's files", "not looked at: they are in a container");
    else {
      const files = await readAll(rabbit.folder);
      expect(files).toContain(cluster.namespace.toLowerCase()); // it is what was written
      expect(looked.filter((word) => files.includes(word))).toEqual([]);
    }

    const said = logs
      .map(({ output }) => output)
      .join("\n")
      .toLowerCase();
    expect(said).toContain("attempt");
    expect(looked.filter((word) => said.includes(word))).toEqual([]);

    // What others see.
    async function allEvents(): Promise<unknown[]> {
      const all: { seq: number }[] = [];
      for (;;) {
        const page = await made("GET", `events/?after=${all.at(-1)?.seq ?? 0}&limit=100`, bob.token);
        const events = page["events"] as { seq: number }[];
        if (events.length === 0) return all;
        all.push(...events);
      }
    }
    const answers = [
      await made("GET", `users/?q=${own.username}`, bob.token),
      await made("GET", `users/?q=${encodeURIComponent(own.email)}`, bob.token),
      await made("GET", `users/?q=${encodeURIComponent(own.phone_number)}`, bob.token),
      await made("GET", "conversations/", bob.token),
      await made("GET", "messages/?limit=100", bob.token),
      await allEvents(),
      ...(await Promise.all(groups.map((group) => made("GET", `conversations/${group}/messages/`, bob.token)))),
      ...(await Promise.all(groups.map((group) => made("GET", `conversations/${group}/members/`, bob.token)))),
    ];
    const seen = JSON.stringify(answers).toLowerCase();
    expect(looked.filter((word) => seen.includes(word))).toEqual([]);
    expect((await call("GET", `users/?username=${own.username}`, bob.token)).status).toBe(404);
    const again = await http(`${base()}/api/users/`, { body: { ...own, password: PASSWORD } });
    expect(again.status).toBe(201);
    for (const list of ["conversations", "messages", "contacts", "endpoints", "tokens", "bots"]) {
      const { [list]: found } = await made("GET", `${list}/`, again.json["access_token"]);
      expect([list, found]).toEqual([list, []]);
    }
    expect(await made("GET", "events/?after=0", again.json["access_token"])).toMatchObject({ events: [] });
  });
});
