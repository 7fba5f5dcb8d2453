import { ROUTES, type Route } from "@messenger/contracts";
import { rateLimitsSetting } from "@messenger/listener";
import { setRole } from "@messenger/store";
import {
  type Answer,
  http,
  logIn,
  PASSWORD,
  type Person,
  register,
  type ScriptedReceiver,
  send,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newPart, openListener, openSender } from "./deployments.ts";
import { samplePath } from "./sample-path.ts";
import { totp } from "./totp.ts";

type Part = Awaited<ReturnType<typeof newPart>>;
const adminRoutes = Object.entries<Route>(ROUTES).flatMap(([name, route]) => (route.auth === "admin" ? [{ name, route }] : []));

describe("an administrator", () => {
  let part: Part;
  let base: string;
  let receiver: ScriptedReceiver;
  let root: Person;
  let ada: Person;
  let mallory: Person;

  beforeAll(async () => {
    part = await newPart({ rateLimits: { ...rateLimitsSetting.parse("bulk:send=100000"), countsLoopback: false } });
    base = (await openListener(part)).url;
    await openSender(part, "sender");
    receiver = await startScriptedReceiver();
    part.closing.add(() => receiver.close());
  });
  afterAll(() => part.closing.closeAll());
  beforeEach(async () => {
    root = await register(base);
    ada = await register(base);
    mallory = await register(base);
    await setRole(part.database.store.db, "test", root.id, "admin");
  });

  const call = (method: string, path: string, { token }: Pick<Person, "token">, body?: unknown): Promise<Answer> =>
    http(`${base}/api/${path}`, { method, token, ...(body === undefined ? undefined : { body }) });
  const age = (who: Person): Promise<unknown> =>
    sql`
      update sessions set created_at = now() - interval '16 minutes', confirmed_at = confirmed_at - interval '16 minutes'
      where user_id = ${who.id}
    `.execute(part.database.store.db);
  const ask = (route: Route, { token }: Pick<Person, "token">): Promise<Answer> =>
    http(base + samplePath(route), {
      method: route.method,
      token,
      body: route.body !== undefined && "examples" in route.body ? (route.body.examples as object[])[0] : undefined,
    });

  it.each(adminRoutes)("alone may use $name, and asks for the password again after a while", async ({ route }) => {
    expect(await ask(route, ada)).toMatchObject({ status: 403, json: { code: "forbidden" } });
    const before = await ask(route, root);
    expect([200, 201, 404]).toContain(before.status);
    await age(root);
    expect(await ask(route, root)).toMatchObject({ status: 403, json: { code: "confirm_password" } });
    expect((await call("POST", "sessions/confirm/", root, { password: PASSWORD })).status).toBe(204);
    expect((await ask(route, root)).status).toBe(before.status);
    await age(root);
    expect(await ask(route, root)).toMatchObject({ status: 403, json: { code: "confirm_password" } });
    await call("POST", "sessions/confirm/", root, { password: PASSWORD });
    await setRole(part.database.store.db, "test", root.id, "user");
    expect(await ask(route, root)).toMatchObject({ status: 403, json: { code: "forbidden" } });
  });

  it.each(adminRoutes.filter(({ route }) => route.body !== undefined))(
    "is told what is wrong with the body of $name",
    async ({ route }) => {
      for (const [body, code] of [
        ["{", "malformed_body"],
        [{}, "validation_error"],
        [[], "validation_error"],
        [{ plan: null, action: null }, "validation_error"],
        [`"${"x".repeat(1024 * 1024)}"`, "too_large"],
      ] as const) {
        const { json } = await http(base + samplePath(route), { method: route.method, token: root.token, body });
        expect([body, json["code"]]).toEqual([body, code]);
      }
    },
  );

  it("has tokens that read, and others that write, for as long as they are an administrator's", async () => {
    const make = async (scope: string): Promise<Pick<Person, "token">> => {
      const made = await call("POST", "tokens/", root, { name: scope, scopes: [scope], password: PASSWORD });
      return { token: String(made.json["token"]) };
    };
    const [reads, writes] = [await make("admin:read"), await make("admin:write")];
    await age(root);
    expect((await call("GET", "admin/users/", reads)).status).toBe(200);
    expect(await call("POST", `admin/users/${ada.id}/suspend/`, reads)).toMatchObject({ json: { code: "missing_scope" } });
    expect((await call("POST", `admin/users/${ada.id}/suspend/`, writes)).status).toBe(200);
    await setRole(part.database.store.db, "test", root.id, "user");
    expect(await call("GET", "admin/users/", reads)).toMatchObject({ status: 403, json: { code: "forbidden" } });
  });

  it("is confirmed by nobody who guesses", async () => {
    const guess = (): Promise<Answer> => call("POST", "sessions/confirm/", root, { password: "wrong" });
    for (let n = 0; n < 10; n += 1) expect(await guess()).toMatchObject({ status: 403, json: { code: "wrong_password" } });
    expect(await guess()).toMatchObject({ status: 429, json: { code: "too_many_attempts" } });
  });

  it("asks for a code, too, of who has an authenticator", async () => {
    const begun = await call("POST", "users/me/totp/", root, { password: PASSWORD });
    const secret = String(begun.json["secret"]);
    const at = Date.now();
    expect((await call("POST", "users/me/totp/confirm/", root, { code: totp(secret, at) })).status).toBe(200);
    const confirm = (totp_code?: string): Promise<Answer> =>
      call("POST", "sessions/confirm/", root, { password: PASSWORD, ...(totp_code === undefined ? undefined : { totp_code }) });
    expect(await confirm()).toMatchObject({ status: 400, json: { code: "wrong_code" } });
    // What outlasts a session asks for it as well.
    const token = { name: "t", scopes: ["admin:write"], password: PASSWORD };
    expect(await call("POST", "tokens/", root, token)).toMatchObject({ status: 400, json: { code: "wrong_code" } });
    const link = { provider: "none", flow: "begun", callback_url: "http://127.0.0.1:1/", password: PASSWORD };
    expect(await call("POST", "users/me/identities/", root, link)).toMatchObject({ status: 400, json: { code: "wrong_code" } });
    expect((await confirm(totp(secret, at + 30_000))).status).toBe(204);
  });

  it("lists accounts, page by page, and reads one", async () => {
    const found: { user_id: number }[] = [];
    for (let cursor = ""; ;) {
      const { json } = await call("GET", `admin/users/?limit=2${cursor}`, root);
      found.push(...(json["users"] as { user_id: number }[]));
      if (json["next_cursor"] === null) break;
      cursor = `&cursor=${json["next_cursor"] as string}`;
    }
    expect(found.map(({ user_id: id }) => id)).toEqual(found.map(({ user_id: id }) => id).toSorted((a, b) => a - b));
    expect(found.map(({ user_id: id }) => id)).toEqual(expect.arrayContaining([root.id, ada.id, mallory.id]));
    const named = (await call("GET", `admin/users/?name=${ada.name.toUpperCase()}`, root)).json["users"] as { user_id: number }[];
    expect(named.map(({ user_id: id }) => id)).toEqual([ada.id]);
    expect((await call("GET", "admin/users/?name=nobody", root)).json["users"]).toEqual([]);
    const admins = (await call("GET", "admin/users/?admins=true&limit=100", root)).json["users"] as { role: string }[];
    expect(new Set(admins.map(({ role }) => role))).toEqual(new Set(["admin"]));
    expect((await call("GET", `admin/users/${ada.id}/`, root)).json).toMatchObject({
      user_id: ada.id,
      username: ada.name,
      role: "user",
      plan: "standard",
      suspended_at: null,
      sessions: 1,
    });
  });

  it("suspends, restores and signs out users, and puts them on a plan; all of it is in the audit log", async () => {
    const path = `admin/users/${mallory.id}`;
    expect((await call("POST", `${path}/sign-out/`, root)).json).toMatchObject({ sessions: 0 });
    expect((await call("GET", "users/me/", mallory)).status).toBe(401);
    const { token } = await logIn(base, mallory, `${receiver.url}/mallory`);
    expect((await call("POST", `${path}/suspend/`, root)).json).toMatchObject({ sessions: 0, endpoints: 0 });
    await waitFor(async () => (await call("GET", "users/me/", { token })).status === 401, { what: "the session to end" });
    expect((await call("POST", `${path}/restore/`, root)).json).toMatchObject({ suspended_at: null });
    expect((await call("PUT", `${path}/plan/`, root, { plan: "bulk" })).json).toMatchObject({ plan: "bulk" });
    expect((await call("PUT", `${path}/plan/`, root, { plan: "bulky" })).json).toMatchObject({
      detail: "body: plan must be one of standard, bulk (RATE_LIMITS)",
    });
    expect((await call("POST", `admin/users/${root.id}/suspend/`, root)).json).toMatchObject({ code: "forbidden" });
    const entries = (await call("GET", "admin/audit/", root)).json["entries"] as {
      actor: string;
      action: string;
      user_id: number;
    }[];
    const own = entries.filter(({ user_id: id, actor }) => id === mallory.id && actor === `user ${root.id}`);
    expect(own.map(({ action }) => action)).toEqual(["user.plan_set", "user.restored", "user.suspended", "user.signed_out"]);
  });

  it("erases an account", async () => {
    expect((await call("DELETE", `admin/users/${ada.id}/`, root)).status).toBe(204);
    expect((await call("GET", "users/me/", ada)).status).toBe(401);
    expect((await call("GET", `admin/users/${ada.id}/`, root)).status).toBe(404);
    expect((await call("DELETE", `admin/users/${root.id}/`, root)).json).toMatchObject({ code: "forbidden" });
  });

  it("invites somebody, sees whether they came, and takes an invitation back", async () => {
    for (const valid_days of [0, 91, 1.5, "7"]) {
      expect((await call("POST", "admin/invitations/", root, { valid_days })).json).toMatchObject({ code: "validation_error" });
    }
    const made = await call("POST", "admin/invitations/", root, { valid_days: 3 });
    expect(made).toMatchObject({ status: 201, json: { invitation: expect.stringMatching(/^mi_/u) as string, used_at: null } });
    const { invitation_id: id, created_at: from, expires_at: until } = made.json as Record<string, string>;
    expect(Date.parse(String(until)) - Date.parse(String(from))).toBe(3 * 24 * 3600 * 1000);
    const listed = async (): Promise<unknown[]> =>
      ((await call("GET", "admin/invitations/?limit=100", root)).json["invitations"] as { invitation_id: unknown }[]).filter(
        (one) => one.invitation_id === id,
      );
    const { invitation: _, ...shown } = made.json; // what it is made with is shown once
    expect(await listed()).toEqual([shown]);
    expect((await call("DELETE", `admin/invitations/${String(id)}/`, root)).status).toBe(204);
    expect(await listed()).toEqual([]);
    const { entries } = (await call("GET", "admin/audit/", root)).json as { entries: { actor: string; action: string }[] };
    const own = entries.filter(({ actor }) => actor === `user ${root.id}`).map(({ action }) => action);
    expect(own).toEqual([`invitation.deleted ${String(id)}`, `invitation.made ${String(id)}`]);
  });

  it("finds nothing that is not there", async () => {
    const nobody = 2 ** 40;
    for (const [method, path, code, body] of [
      ["GET", `users/${nobody}`, "no_such_user"],
      ["POST", `users/${nobody}/suspend`, "no_such_user"],
      ["POST", `users/${nobody}/restore`, "no_such_user"],
      ["POST", `users/${nobody}/sign-out`, "no_such_user"],
      ["PUT", `users/${nobody}/plan`, "no_such_user", { plan: "bulk" }],
      ["DELETE", `users/${nobody}`, "no_such_user"],
      ["POST", `endpoints/${nobody}/replay-dead-letters`, "no_such_endpoint"],
      ["DELETE", `invitations/${nobody}`, "no_such_invitation"],
      ["POST", `reports/${nobody}/resolve`, "no_such_report", { action: "dismiss" }],
    ] as const) {
      expect([path, (await call(method, `admin/${path}/`, root, body)).json["code"]]).toEqual([path, code]);
    }
  });

  it("lists endpoints that fail, without what may be secret in an address, and pushes their dead letters again", async () => {
    receiver.behave({ status: 500 });
    await logIn(base, ada, `${receiver.url}/${ada.name}?key=secret`);
    await sendSurely(base, mallory, ada, "refused");
    const found = await waitFor(
      async () => {
        const { json } = await call("GET", "admin/endpoints/?limit=100", root);
        return (json["endpoints"] as { endpoint_id: number; user_id: number }[]).find(({ user_id: id }) => id === ada.id);
      },
      { what: "an endpoint that fails" },
    );
    expect(found).toMatchObject({ origin: receiver.url, state: "active", behind: 1 });
    expect(JSON.stringify(found)).not.toContain("secret");

    const { db } = part.database.store;
    const { endpoint_id: id } = found;
    await sql`insert into dead_letters (endpoint_id, seq, reason) values (${id}, 1, 'answered 400')`.execute(db);
    await sql`update endpoints set cursor = 1, failures = 0, retry_at = null where id = ${id}`.execute(db);
    receiver.behave({ status: 200 });
    expect((await call("POST", `admin/endpoints/${id}/replay-dead-letters/`, root)).json).toEqual({ count: 1 });
  });

  it("sees what waits", async () => {
    expect((await call("GET", "admin/queue/", root)).json).toMatchObject({
      outbox_rows: expect.any(Number) as number,
      endpoints_waiting: expect.any(Number) as number,
    });
  });

  it("sees what was reported, as it was then, and does something about it", async () => {
    const said: string[] = [];
    for (const text of ["one", "two", "three"]) said.push(await sendSurely(base, mallory, ada, text));
    const report = (id: string, by = ada, body: object = { reason: "spam", comment: "not asked for" }): Promise<Answer> =>
      call("POST", `messages/${id}/report/`, by, body);
    for (const id of said) expect((await report(id)).status).toBe(204);
    expect((await report(said[0] as string, ada, { reason: "abuse" })).status).toBe(204); // in the place of the first
    expect(await report(said[0] as string, root)).toMatchObject({ status: 404 }); // whose conversation it is not
    expect(await report(said[0] as string, mallory)).toMatchObject({ status: 400 });
    await call("PATCH", `messages/${said[1] as string}/`, mallory, { message: "something harmless" });
    await call("DELETE", `messages/${said[2] as string}/`, mallory);

    const listed = async (query = ""): Promise<Record<string, unknown>[]> =>
      ((await call("GET", `admin/reports/?limit=100${query}`, root)).json["reports"] as Record<string, unknown>[]).filter(
        ({ sender }) => (sender as { user_id: number } | null)?.user_id === mallory.id,
      );
    const open = await listed();
    expect(open.map(({ message, reason, comment, others }) => [message, reason, comment, others])).toEqual([
      ["one", "abuse", null, 2],
      ["two", "spam", "not asked for", 2],
      ["three", "spam", "not asked for", 2],
    ]);
    const resolve = (n: number, action: string): Promise<Answer> =>
      call("POST", `admin/reports/${String(open[n]?.["report_id"])}/resolve/`, root, { action });
    expect((await resolve(0, "delete_message")).json).toMatchObject({ resolution: "delete_message" });
    expect((await call("GET", `messages/${said[0] as string}/`, ada)).status).toBe(404);
    const events = (await call("GET", "events/?after=0", ada)).json["events"] as { type: string; message_id: string }[];
    expect(events).toContainEqual(expect.objectContaining({ type: "message.deleted", message_id: said[0] }));
    expect((await resolve(1, "dismiss")).json).toMatchObject({ resolution: "dismiss" });
    expect((await resolve(2, "suspend_sender")).json).toMatchObject({ resolution: "suspend_sender" });
    expect((await call("GET", `admin/users/${mallory.id}/`, root)).json["suspended_at"]).not.toBeNull();
    expect(await listed()).toEqual([]);
    expect(await listed("&resolved=true")).toHaveLength(3);
  });

  it("deletes what was reported, also of who has left the group, or is gone", async () => {
    for (const leaves of [true, false]) {
      const eve = await register(base);
      const made = await call("POST", "conversations/", ada, { title: "Engines", member_ids: [eve.id] });
      const { conversation_id: group } = made.json["conversation"] as { conversation_id: number };
      const said = await call("POST", `conversations/${group}/messages/`, eve, { message: "spam" });
      const id = String(said.json["message_id"]);
      await call("POST", `messages/${id}/report/`, ada, { reason: "spam" });
      if (leaves) await call("DELETE", `conversations/${group}/members/${eve.id}/`, eve);
      else await call("DELETE", "users/me/", eve, { password: PASSWORD });
      const { reports } = (await call("GET", "admin/reports/?limit=100", root)).json as { reports: Record<string, unknown>[] };
      const report = reports.find(({ message_id: of }) => of === id);
      await call("POST", `admin/reports/${String(report?.["report_id"])}/resolve/`, root, { action: "delete_message" });
      expect((await call("GET", `messages/${id}/`, ada)).status).toBe(404);
    }
  });

  it("suspends bots with their owner", async () => {
    const bot = await call("POST", "bots/", mallory, { username: `bot-${mallory.name}` });
    const path = `bots/${String(bot.json["user_id"])}/tokens/`;
    const made = await call("POST", path, mallory, { name: "t", scopes: ["messages:read"], password: PASSWORD });
    const token = String(made.json["token"]);
    expect((await call("GET", "users/me/", { token })).status).toBe(200);
    await call("POST", `admin/users/${mallory.id}/suspend/`, root);
    await waitFor(async () => (await call("GET", "users/me/", { token })).status === 401, { what: "the token to end" });
  });

  it("keeps what was reported of who was erased, without the name, and no report of theirs", async () => {
    const id = await sendSurely(base, mallory, ada, "gone with its author");
    const kept = await sendSurely(base, ada, mallory, "reported by somebody who goes");
    await call("POST", `messages/${id}/report/`, ada, { reason: "spam" });
    await call("POST", `messages/${kept}/report/`, mallory, { reason: "other" });
    expect((await call("DELETE", "users/me/", mallory, { password: PASSWORD })).status).toBe(200);
    const { reports } = (await call("GET", "admin/reports/?limit=100", root)).json as { reports: Record<string, unknown>[] };
    expect(reports.find(({ message_id: of }) => of === id)).toMatchObject({
      sender: null,
      message: "gone with its author",
    });
    expect(reports.find(({ message_id: of }) => of === kept)).toBeUndefined();
  });

  it("is told of reports, which are a hundred at most of one user", { timeout: 30_000 }, async () => {
    for (let n = 0; n < 101; n += 1) {
      const { json } = await send(base, mallory, ada, `${n}`);
      const { status } = await call("POST", `messages/${String(json["message_id"])}/report/`, ada, { reason: "spam" });
      expect([n, status]).toEqual([n, n < 100 ? 204 : 409]);
    }
  });
});
