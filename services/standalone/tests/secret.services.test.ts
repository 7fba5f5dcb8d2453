import { answerContext, contactSecretContext, createKeyring, resetCodeContext, systemRandom } from "@messenger/core";
import { SEALED_COLUMNS } from "@messenger/store";
import {
  http,
  logIn,
  PASSWORD,
  register,
  type ScriptedReceiver,
  sendSurely,
  startCommand,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { sql } from "kysely";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, expect, inject, it } from "vitest";
import { type Cluster, openCluster } from "./cluster.ts";

/** The settings of a process before and after the change. */
const BEFORE = { MESSENGER_SECRET: "the first secret of the tests of a change" };
const AFTER = {
  MESSENGER_SECRET: "the secret that takes the other's place",
  MESSENGER_SECRET_PREVIOUS: BEFORE.MESSENGER_SECRET,
};

let cluster: Cluster;
let receiver: ScriptedReceiver;
beforeEach(async () => {
  receiver = await startScriptedReceiver();
  cluster = await openCluster(inject("amqpUrl"), BEFORE);
});
afterEach(async () => {
  await cluster.close();
  await receiver.close();
});

it("what was sealed, signed and given out under a secret stays good after it was changed", async () => {
  const listener = await cluster.startListener();
  const sender = await cluster.startSender();
  const base = cluster.urls()[0] as string;
  const [ada, bob] = [await register(base), await register(base)];
  const address = `${receiver.url}/bob`;
  const { webhookSecret } = await logIn(base, bob, address);
  const body = { username: ada.name, password: ada.password, user_address: "http://192.0.2.1/", public_key: "key" };
  const login = await http(`${base}/api/login/`, { body });
  const delivered = () => receiver.arrivals.map((arrival) => arrival.body["message"]);

  const pushKey = async (at: string): Promise<unknown> => (await http(`${at}/api/push-key/`)).json["public_key"];
  const subscribedWith = await pushKey(base);
  const read = await sendSurely(base, ada, bob, "delivered before");
  await waitFor(() => delivered().length === 1, { what: "a first message" });
  receiver.behave({ status: 503 });
  await sendSurely(base, ada, bob, "in the log");
  await waitFor(() => delivered().length === 2, { what: "a push that fails" });
  await cluster.end(sender, "SIGTERM");
  await sendSurely(base, ada, bob, "in the queue");
  await cluster.end(listener, "SIGTERM");
  receiver.behave({ status: 204 });

  const changed = await cluster.startListener(AFTER);
  const pushing = await cluster.startSender(AFTER);
  const url = cluster.urls()[0] as string;
  expect((await http(`${url}/api/messages/${read}/`, { token: bob.token })).json).toMatchObject({ message: "delivered before" });
  const refreshed = await http(`${url}/api/token/refresh/`, { body: { refresh_token: login.json["refresh_token"] } });
  expect(refreshed.status).toBe(200);
  expect((await logIn(url, bob, address)).webhookSecret).toBe(webhookSecret);
  await sendSurely(url, { ...ada, token: refreshed.json["access_token"] as string }, bob, "sent afterwards");
  await sendSurely(url, ada, bob, "sent with a token of before");
  await waitFor(() => delivered().length >= 6, { what: "all messages" });
  expect(delivered()).toEqual([
    "delivered before",
    "in the log",
    "in the log",
    "in the queue",
    "sent afterwards",
    "sent with a token of before",
  ]);
  const webhook = new Webhook(webhookSecret);
  for (const { rawBody, headers } of receiver.arrivals) webhook.verify(rawBody, headers as Record<string, string>);
  expect(await pushKey(url)).toBe(subscribedWith);
  expect(changed.output + pushing.output).not.toMatch(/unsealed|SealError/u);

  await cluster.end(changed, "SIGTERM");
  await cluster.startListener({ ...AFTER, MESSENGER_SECRET_PREVIOUS: "" });
  expect(await pushKey(cluster.urls()[0] as string)).toBe(subscribedWith);
});

it("a process without the previous secret refuses to start, and says what to set", async () => {
  await cluster.startListener();
  const { MESSENGER_SECRET } = AFTER;
  await expect(cluster.startListener({ MESSENGER_SECRET })).rejects.toThrow(/MESSENGER_SECRET_PREVIOUS/u);
});

/** Columns of bytes that are no sealed ones: hashes, which no secret is needed for. */
const HASHES = [
  "contacts.token_hash",
  "conversations.request_key",
  "gone_addresses.hash",
  "invitations.hash",
  "invites.token_hash",
  "messages.request_key",
  "notifications.request_hash",
  "notifications.request_key",
  "recovery_codes.hash",
  "sessions.refresh_hash",
  "sessions.token_hash",
  "stream_tickets.hash",
  "used_sign_ins.hash",
];
const nameOf = ({ table, column }: (typeof SEALED_COLUMNS)[number]): string => `${table}.${column}`;

it("every column of bytes is sealed, and sealed anew by a change, or is a hash", async () => {
  const { rows } = await sql<{ name: string }>`
    select table_name || '.' || column_name as name from information_schema.columns
    where data_type = 'bytea' and table_schema = 'public'
  `.execute(cluster.database.store.db);
  const known = [...SEALED_COLUMNS.map(nameOf), ...HASHES];
  expect(rows.map(({ name }) => name).toSorted()).toEqual(known.toSorted());
});

it("all that was sealed under a previous secret is resealed while messages flow, and that secret is not needed any more", async () => {
  const more = { SMTP_URL: "smtp://127.0.0.1:9", MAIL_FROM: "m@example.org", NOTIFY: "everyone", KEEP_ANSWERS: "all" };
  let processes = [await cluster.startListener(more), await cluster.startSender(more)];
  let base = cluster.urls()[0] as string;
  const [ada, bob] = [await register(base), await register(base)];
  const call = async (method: string, path: string, token: string, body?: object): Promise<Record<string, unknown>> => {
    const { status, json } = await http(`${base}/api/${path}`, { method, token, ...(body === undefined ? undefined : { body }) });
    expect([path, status < 300, json]).toEqual([path, true, json]);
    return json;
  };

  // Something of every kind.
  const { webhookSecret } = await logIn(base, bob, `${receiver.url}/bob`);
  const edited = await sendSurely(base, ada, bob, "to be edited");
  await call("PATCH", `messages/${edited}/`, ada.token, { message: "edited" });
  await call("POST", `messages/${edited}/report/`, bob.token, { reason: "spam", comment: "a comment" });
  const group = await call("POST", "conversations/", ada.token, { title: "Engines", member_ids: [bob.id] });
  const { conversation_id: id } = group["conversation"] as { conversation_id: number };
  await http(`${base}/api/conversations/`, {
    token: ada.token,
    body: { title: "Looms", member_ids: [bob.id] },
    headers: { "idempotency-key": "looms" },
  });
  const invite = await call("POST", `conversations/${id}/invites/`, ada.token, { expires_in: 3600 });
  await call("POST", "users/me/totp/", ada.token, { password: PASSWORD });
  const made = await call("POST", "endpoints/", ada.token, {
    address: `${receiver.url}/ada`,
    headers: { "x-own": "a header" },
    signatures: ["v1", "v1a"],
  });
  const endpointId = Number(made["endpoint_id"]);
  await call("POST", `endpoints/${endpointId}/rotate-secret/`, ada.token, { previous_valid_s: 86_400 });
  const { contact_id: contactId } = await call("POST", "contacts/", ada.token, { type: "email", recipient: "ada@example.org" });
  const { db } = cluster.database.store;
  // What needs a browser, a mailbox, or an answer at the right moment.
  const old = createKeyring({ secret: BEFORE.MESSENGER_SECRET, random: systemRandom });
  const [secret, code, answer] = [
    old.webhookSecrets.seal(contactSecretContext(ada.id, "mailto:ada@example.org"), Buffer.from("keys")),
    old.contents.seal(resetCodeContext(ada.id), Buffer.from("123456")),
    old.contents.seal(answerContext(endpointId, 0), Buffer.from("an answer")),
  ];
  await sql`update contacts set secret = ${secret} where id = ${Number(contactId)}`.execute(db);
  await sql`insert into password_resets (user_id, code) values (${ada.id}, ${code})`.execute(db);
  await sql`update probes set answer = ${answer}, result = coalesce(result, 'transient') where endpoint_id = ${endpointId}`.execute(
    db,
  );
  receiver.behave({ status: 503, body: "an answer" });
  await sendSurely(base, ada, bob, "fails at first");
  await waitFor(async () => (await sql`select from attempts where answer is not null`.execute(db)).rows.length > 0, {
    what: "an answer that is kept",
  });
  receiver.behave({ status: 204 });

  async function restart(settings: Record<string, string>): Promise<void> {
    for (const one of processes) await cluster.end(one, "SIGTERM");
    processes = [await cluster.startListener({ ...more, ...settings }), await cluster.startSender({ ...more, ...settings })];
    base = cluster.urls()[0] as string;
  }
  const rotate = async (settings: Record<string, string>): Promise<{ code: number | null; output: string }> => {
    const command = startCommand(["rotate-secret"], { DATABASE_URL: cluster.database.url, ...settings });
    const code = await command.exited;
    return { code, output: command.output };
  };
  const keyring = createKeyring({ secret: AFTER.MESSENGER_SECRET, random: systemRandom });
  const countOld = async (): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (const column of SEALED_COLUMNS) {
      const { mark } = keyring[column.sealer];
      const value = sql.ref(column.column);
      const { rows } = await sql`
        select from ${sql.table(column.table)} where substring(${value} from 1 for ${mark.length}::integer) <> ${mark}
      `.execute(db);
      counts[nameOf(column)] = rows.length;
    }
    return counts;
  };

  expect(await rotate(AFTER)).toMatchObject({ code: 1, output: expect.stringContaining("restart its processes") as string });
  await restart(AFTER);
  const before = await countOld();
  expect(Object.entries(before).filter(([, count]) => count === 0)).toEqual([]);

  const rotation = { isOver: false };
  const sent: string[] = [];
  // What somebody else has locked has its turn later.
  const lock = Promise.withResolvers<void>();
  const locked = db.transaction().execute(async (tx) => {
    await sql`select from totp for update`.execute(tx);
    await lock.promise;
  });
  const rotating = rotate(AFTER).finally(() => (rotation.isOver = true));
  for (let n = 0; !rotation.isOver || n <= 20; n += 1) {
    sent.push(await sendSurely(base, ada, bob, `meanwhile ${n}`));
    if (n < 50) await call("PATCH", `messages/${edited}/`, ada.token, { message: `edited ${n}` }); // there are 100 versions at most
    if (n === 20) lock.resolve();
  }
  await locked;
  const { code: exit, output } = await rotating;
  expect([exit, output]).toEqual([0, expect.stringContaining("No value needs a previous secret")]);
  expect(Object.entries(await countOld()).filter(([, count]) => count > 0)).toEqual([]);
  expect(await rotate(AFTER)).toMatchObject({
    code: 0,
    output: expect.stringContaining("Resealed 0 values") as string,
  });

  await restart({ MESSENGER_SECRET: AFTER.MESSENGER_SECRET });
  // Access tokens were signed under the previous secret.
  for (const one of [ada, bob]) {
    const { json } = await http(`${base}/api/sessions/`, { body: { username: one.name, password: one.password } });
    one.token = String(json["access_token"]);
  }
  expect(await call("GET", `messages/${edited}/`, bob.token)).toMatchObject({
    message: `edited ${Math.min(sent.length, 50) - 1}`,
  });
  expect(await call("GET", `conversations/${id}/`, bob.token)).toMatchObject({ conversation: { group: { title: "Engines" } } });
  expect(await call("GET", `conversations/${id}/invites/`, ada.token)).toMatchObject({ invites: [{ token: invite["token"] }] });
  const last = await sendSurely(base, ada, bob, "with the new one alone");
  const pushed = (): string[] => receiver.arrivals.map((arrival) => arrival.id);
  await waitFor(() => [...sent, last].every((one) => pushed().includes(one)), { what: "all messages" });
  const webhook = new Webhook(webhookSecret);
  const toBob = receiver.arrivals.filter(({ path }) => path === "/bob");
  for (const { rawBody, headers } of toBob) webhook.verify(rawBody, headers as Record<string, string>);
  for (const { output: said } of processes) expect(said).not.toMatch(/unsealed|SealError/u);

  // What cannot be unsealed is named, and stays.
  await sql`update conversations set request = ${Buffer.from("nothing that is sealed")} where request is not null`.execute(db);
  const left = await rotate({ MESSENGER_SECRET: AFTER.MESSENGER_SECRET });
  expect(left).toMatchObject({
    code: 1,
    output: expect.stringMatching(/No known secret[\s\S]*conversations\.request of \d+/u) as string,
  });
}, 120_000);
