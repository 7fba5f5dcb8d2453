import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  http,
  logIn,
  PASSWORD,
  patiently,
  printed,
  register,
  sendSurely,
  startCommand,
  startService,
  waitFor,
} from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { newPart, openListener, openSender, PARTITIONS, SECRET } from "./deployments.ts";
import { type Mail, startRelay } from "./relay.ts";

interface Ran {
  code: number | null;
  output: string;
}

async function run(args: readonly string[], env: Record<string, string>, input?: Uint8Array): Promise<Ran> {
  const started = startCommand(args, env, input === undefined ? {} : { input });
  const code = await started.exited;
  return { code, output: started.output };
}

describe("an operator without SQL", () => {
  let part: Awaited<ReturnType<typeof newPart>>;
  let folder: string;
  let env: Record<string, string>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "messenger-commands-"));
    part = await newPart();
    env = {
      DATABASE_URL: part.databaseUrl,
      AMQP_URL: inject("amqpUrl"),
      MESSENGER_SECRET: SECRET,
      PARTITIONS: String(PARTITIONS),
      CERTS_DIR: folder,
      DATA_DIR: folder,
    };
  });
  afterEach(async () => {
    await part.closing.closeAll();
    await rm(folder, { recursive: true });
  });

  it("makes and lists admins, and what was done is written down", async () => {
    const { url } = await openListener(part);
    const ada = await register(url);
    const made = await run(["admin", "create", "root-of-it"], env);
    expect(made.code).toBe(0);
    const password = /not shown again: (\S+)/u.exec(made.output)?.[1] ?? "";
    expect((await http(`${url}/api/sessions/`, { body: { username: "root-of-it", password } })).status).toBe(201);
    expect(await run(["admin", "create", "root-of-it"], env)).toMatchObject({
      code: 1,
      output: expect.stringContaining("taken"),
    });
    expect(await run(["user", "create", "somebody-else"], env)).toMatchObject({
      code: 0,
      output: expect.stringContaining("Made the user somebody-else"),
    });
    expect(await run(["admin", "grant", ada.name.toUpperCase()], env)).toMatchObject({ code: 0 });
    expect(await run(["admin", "list"], env)).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^ID +NAME +ROLE[\s\S]*root-of-it +admin +active/u),
    });
    const { output } = await run(["admin", "list", "--json"], env);
    expect((JSON.parse(output) as { username: string }[]).map(({ username }) => username).toSorted()).toEqual(
      [ada.name, "root-of-it"].toSorted(),
    );
    expect(await run(["admin", "revoke", ada.name], env)).toMatchObject({ code: 0 });
    expect((await run(["admin", "log"], env)).output).toMatch(/admin\.revoked[\s\S]*admin\.granted[\s\S]*admin\.granted/u);
    expect(await run(["admin", "grant", "nobody"], env)).toMatchObject({ code: 1, output: expect.stringContaining("no user") });
    for (const wrong of [["admin"], ["admin", "destroy"], ["user", "show"], ["admin", "grant"]]) {
      expect(await run(wrong, env)).toMatchObject({ code: 64 });
    }
  });

  it("takes e-mails that came back, and reports of spam", async () => {
    const relay = await startRelay();
    part.closing.add(() => relay.stop());
    await openSender(part, "sender", {
      providers: { email: { smtpUrl: `smtp://127.0.0.1:${relay.port}`, from: "Messenger <m@example.org>" } },
    });
    const { url } = await openListener({ ...part, settings: { notify: "everyone" } });
    const ada = await register(url);
    const call = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> =>
      (await http(`${url}/api/${path}`, { method, token: ada.token, ...(body === undefined ? undefined : { body }) })).json;
    const notify = (recipient: string) => call("POST", "notifications/", { type: "email", recipient, content: "hello" });
    const sent = (recipient: string, count = 1) =>
      waitFor(() => relay.mails.filter(({ to }) => to === recipient)[count - 1], { what: `an e-mail to ${recipient}` });
    const reportOf = (type: string, said: string, { headers }: Mail): Buffer =>
      Buffer.from(
        `MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=${type}; boundary=b\r\n\r\n` +
          `--b\r\nContent-Type: text/plain\r\n\r\nFor people.\r\n--b\r\nContent-Type: message/${type}\r\n\r\n${said}\r\n` +
          `--b\r\nContent-Type: text/rfc822-headers\r\n\r\n${headers}\r\n--b--\r\n`,
      );

    await waitFor(async () => (await notify("ada@example.net"))["status"] === "queued", {
      what: "a sender that delivers e-mails",
    });
    const returned = await sent("ada@example.net");
    const said = "Reporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; ada@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n";
    const bounce = await run(["bounce"], env, reportOf("delivery-status", said, returned));
    expect(bounce).toMatchObject({ code: 0, output: expect.stringContaining("bounced 5.1.1; nothing more is sent") as string });
    const id = returned.id.slice(1, returned.id.indexOf("@"));
    expect(await call("GET", `notifications/${id}/`)).toMatchObject({ status: "failed", reason: "bounced 5.1.1" });
    expect(await notify("ada@example.net")).toMatchObject({
      code: "suppressed",
      detail: expect.stringContaining("5.1.1") as string,
    });

    // Whoever takes a notice for spam is told no more.
    await call("POST", "contacts/", { type: "email", recipient: "home@example.net", delay_s: 0, window_s: 60 });
    const code = /\b\d{6}\b/u.exec((await sent("home@example.net")).text)?.[0];
    const [contact] = (await call("GET", "contacts/"))["contacts"] as { contact_id: number }[];
    await call("POST", `contacts/${String(contact?.contact_id)}/verify/`, { code });
    await sendSurely(url, await register(url), ada, "unread");
    const notice = await sent("home@example.net", 2);
    const complaint = await run(["bounce"], env, reportOf("feedback-report", "Feedback-Type: abuse\r\nVersion: 1\r\n", notice));
    expect(complaint).toMatchObject({ code: 0, output: expect.stringContaining("complaint: abuse") as string });
    expect(await call("GET", "contacts/")).toMatchObject({ contacts: [] });

    // A mail server would send back what it cannot hand on.
    expect(await run(["bounce"], env, Buffer.from("Subject: hello\r\n\r\nhello"))).toMatchObject({ code: 0 });
    const unknown = { ...returned, headers: returned.headers.replace(id, "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f") };
    expect(await run(["bounce"], env, reportOf("delivery-status", said, unknown))).toMatchObject({
      code: 0,
      output: expect.stringContaining("not known here") as string,
    });
  });

  it("suspends a user, who is signed out everywhere, cannot sign in, and can again once restored", async () => {
    const { url } = await openListener(part);
    const ada = await register(url);
    await logIn(url, ada, "http://127.0.0.1:1024/ada");
    const made = await http(`${url}/api/tokens/`, {
      body: { name: "t", scopes: ["messages:read"], password: PASSWORD },
      token: ada.token,
    });
    const token = made.json["token"] as string;
    expect((await http(`${url}/api/messages/`, { token })).status).toBe(200);
    expect(await run(["user", "suspend", ada.name], env)).toMatchObject({
      code: 0,
      output: expect.stringContaining("suspended"),
    });
    for (const used of [ada.token, token]) {
      await waitFor(async () => (await http(`${url}/api/messages/`, { token: used })).status === 401, { what: "it to end" });
    }
    const start = () =>
      http(`${url}/api/sessions/`, { body: { username: ada.name, password: PASSWORD }, accept: "application/json" });
    expect(await start()).toMatchObject({ status: 403, json: { code: "suspended" } });
    const login = { username: ada.name, password: PASSWORD, user_address: "http://127.0.0.1:9/", public_key: "k" };
    expect(await http(`${url}/api/login/`, { body: login })).toMatchObject({ status: 403, text: "This account is suspended." });
    expect(await http(`${url}/api/login/`, { body: { ...login, password: "wrong" } })).toMatchObject({ status: 401 });
    const shown = await run(["user", "show", ada.name, "--json"], env);
    expect(JSON.parse(shown.output)).toMatchObject({ sessions: 0, endpoints: 0, suspendedAt: expect.any(String) as string });
    expect((await run(["user", "suspend", ada.name], env)).output).toContain("already");
    expect(await run(["user", "restore", ada.name], env)).toMatchObject({ code: 0 });
    expect((await start()).status).toBe(201);
  });

  it("fills a database to try it, again and again", async () => {
    const { url } = await openListener(part);
    for (const round of [1, 2]) {
      const seeded = await run(["seed", "--users", "5", "--messages", "1200"], env);
      expect(seeded, String(round)).toMatchObject({ code: 0, output: expect.stringContaining("user-1 to user-5") });
    }
    const password = "a password for trying it";
    const { json } = await http(`${url}/api/sessions/`, { body: { username: "alice", password } });
    const listed = await http(`${url}/api/conversations/`, { token: json["access_token"] as string });
    const { conversations } = listed.json as { conversations: { kind: string; last_message: { message: string } }[] };
    expect(conversations.length).toBeGreaterThanOrEqual(8);
    expect(conversations.filter(({ kind }) => kind === "group")).toHaveLength(1);
    const taken = { username: "user-7", phone_number: "tel user-7", password: PASSWORD };
    expect((await http(`${url}/api/users/`, { body: taken })).status).toBe(201);
    expect(await run(["seed", "--users", "7"], env)).toMatchObject({
      code: 1,
      output: expect.stringContaining("user-7 already"),
    });
    for (const wrong of ["-1", "1.5", "many"]) {
      expect(await run(["seed", "--messages", wrong], env)).toMatchObject({ code: 64 });
    }
  });

  it("does so on the embedded database of a Messenger that is stopped", async () => {
    const embedded = { DATA_DIR: folder, CERTS_DIR: folder };
    expect(await run(["admin", "list"], embedded)).toMatchObject({
      code: 1,
      output: expect.stringContaining("no embedded database"),
    });
    const start = async () => {
      const started = startService("standalone", { DATA_DIR: folder, PORT: "0" });
      return { started, url: await printed(started, /http:\/\/127\.0\.0\.1:\d+/u) };
    };
    const first = await start();
    expect(await run(["doctor"], embedded)).toMatchObject({ code: 0, output: expect.stringContaining("stop it to have") });
    expect(await run(["admin", "create", "root-of-it"], embedded)).toMatchObject({
      code: 78,
      output: expect.stringContaining("another Messenger runs"),
    });
    await first.started.kill("SIGTERM");
    await first.started.exited;
    expect(await run(["doctor"], embedded)).toMatchObject({
      code: 0,
      output: expect.stringMatching(/✓ database[\s\S]*✓ secret/u),
    });
    const made = await run(["admin", "create", "root-of-it"], embedded);
    expect(made.code).toBe(0);
    const second = await start();
    try {
      const password = /not shown again: (\S+)/u.exec(made.output)?.[1] ?? "";
      expect((await http(`${second.url}/api/sessions/`, { body: { username: "root-of-it", password } })).status).toBe(201);
    } finally {
      await second.started.kill("SIGTERM");
      await second.started.exited;
    }
  });

  describe("asks the doctor", () => {
    const doctor = async (
      more: Record<string, string> = {},
    ): Promise<{ code: number | null; wrong: string[]; output: string }> => {
      const { code, output } = await run(["doctor", "--json"], { ...env, ...more });
      const { findings } = JSON.parse(output) as {
        findings: { what: string; is_fine: boolean | null; detail: string; mend?: string }[];
      };
      const wrong = findings.filter(({ is_fine: isFine }) => isFine === false);
      for (const { mend } of wrong) expect(mend).toEqual(expect.any(String));
      return { code, wrong: wrong.map(({ what, detail }) => `${what}: ${detail}`), output };
    };
    const execute = (statement: string): Promise<void> =>
      patiently(part.databaseUrl, async (db) => void (await sql.raw(statement).execute(db)));

    it("who finds nothing wrong where nothing is", async () => {
      await openListener(part);
      const plain = await run(["doctor"], env);
      expect(plain).toMatchObject({ code: 0, output: expect.stringMatching(/✓ database: PostgreSQL[\s\S]*Nothing is wrong/u) });
      expect(await doctor()).toMatchObject({ code: 0, wrong: [] });
    });

    it.each([
      ["settings that are malformed", { MESSENGER_SECRET: "short" }, "settings: MESSENGER_SECRET"],
      ["a database that is not there", { DATABASE_URL: "postgres://127.0.0.1:1/none" }, "database: it does not answer"],
      ["a broker that is not there", { AMQP_URL: "amqp://127.0.0.1:1/" }, "broker: it cannot be reached"],
      [
        "another secret",
        { MESSENGER_SECRET: "another secret, which is as long as it must be" },
        "secret: MESSENGER_SECRET is not",
      ],
      ["another number of partitions", { PARTITIONS: String(PARTITIONS + 1) }, "partitions: PARTITIONS is"],
    ])("who finds %s", async (_, more, found) => {
      await openListener(part);
      expect(await doctor(more)).toMatchObject({ code: 1, wrong: [expect.stringContaining(found)] });
    });

    it.each([
      [
        "a schema that is not this version's",
        "delete from schema_steps where name = '0026-operators'",
        "schema: it lacks 1 steps",
      ],
      ["a newer schema", "insert into schema_steps (name) values ('9999-later')", "schema: it is a newer version's"],
      [
        "an index that was not made to its end",
        "update pg_index set indisvalid = false where indexrelid = 'search_names_key'::regclass",
        "indexes: not made to their end: search_names_key",
      ],
      [
        "an outbox that nobody empties",
        "insert into outbox (inbox_ids, created_at) values ('{1}', now() - interval '1 minute')",
        "outbox: 1 rows were not published",
      ],
      [
        "endpoints that no sender takes",
        "with b as (insert into inboxes (address) values ('x:y') returning id) insert into endpoints (inbox_id, address, kinds, secret, retry_at) select id, 'http://x/', '{*}', '', now() - interval '2 minutes' from b",
        "due endpoints: 1 wait for a sender",
      ],
    ])("who finds %s", async (_, statement, found) => {
      const listener = await openListener(part);
      await listener.close();
      await execute(statement);
      expect(await doctor()).toMatchObject({ code: 1, wrong: [expect.stringContaining(found)] });
    });

    it("who finds what answers for RabbitMQ and is not, and a certificate that is none", async () => {
      await openListener(part);
      const server = createServer((socket) => void socket.on("error", () => undefined).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      try {
        await writeFile(join(folder, "certificate.pem"), "no certificate");
        const { port } = server.address() as AddressInfo;
        expect(await doctor({ AMQP_URL: `amqp://127.0.0.1:${port}/` })).toMatchObject({
          code: 1,
          wrong: [expect.stringContaining("is no RabbitMQ"), "certificate: certificate.pem is no certificate"],
        });
      } finally {
        server.close();
      }
    });
  });
});
