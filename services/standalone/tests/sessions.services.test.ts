import {
  type Answer,
  http,
  logIn,
  PASSWORD,
  type Person,
  register,
  type ScriptedReceiver,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

interface Listed {
  session_id: number;
  device_name: string | null;
  address: string | null;
  is_current: boolean;
}

describe.each(deployments)("sessions, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let receiver: ScriptedReceiver;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    receiver = await startScriptedReceiver();
    [ada, bob] = [await register(base), await register(base)];
  });
  afterEach(() => receiver.close());

  let turn = 0;
  /** Asks one listener after the other. */
  function call(method: string, path: string, token: string, body?: unknown): Promise<Answer> {
    turn += 1;
    const url = deployment.urls[turn % deployment.urls.length] as string;
    return http(`${url}/api/${path}`, { method, token, ...(body !== undefined && { body }) });
  }
  const start = (password: string, name = bob.name): Promise<Answer> =>
    http(`${base}/api/sessions/`, { body: { username: name, password, device_name: "phone" } });
  const listed = async (token: string): Promise<Listed[]> => (await call("GET", "sessions", token)).json["sessions"] as Listed[];
  const ended = (token: string) =>
    waitFor(async () => (await call("GET", "users/me", token)).status === 401, { what: "every listener to know" });

  it("are listed, named and ended, with what their addresses get", async () => {
    const { token } = await logIn(base, bob, `${receiver.url}/bob`);
    const phone = (await start(PASSWORD)).json["access_token"] as string;
    const [newest, second, first] = (await listed(phone)) as [Listed, Listed, Listed];
    expect(newest).toMatchObject({ device_name: "phone", address: null, is_current: true });
    expect(second).toMatchObject({ device_name: null, address: `${receiver.url}/bob`, is_current: false });
    expect(first).toMatchObject({ is_current: false });

    const changed = await call("PATCH", `sessions/${second.session_id}`, phone, { device_name: "server", public_key: "a key" });
    expect(changed).toMatchObject({ status: 200, json: { device_name: "server", public_key: "a key", is_current: false } });
    const found = await call("GET", `users?username=${bob.name}`, ada.token);
    expect(found.json).toMatchObject({ public_key: "a key" });

    await sendSurely(base, ada, bob, "one");
    await waitFor(() => receiver.arrivals.length === 1, { what: "the push" });
    expect(await call("DELETE", `sessions/${second.session_id}`, phone)).toMatchObject({ status: 204 });
    await ended(token);
    expect((await listed(phone)).map(({ session_id: id }) => id)).toEqual([newest.session_id, first.session_id]);
    expect(await call("DELETE", `sessions/${second.session_id}`, phone)).toMatchObject({ status: 404 });
    const { endpoints } = (await call("GET", "endpoints", phone)).json as { endpoints: unknown[] };
    expect(endpoints).toMatchObject([{ state: "disabled", reason: "signed out" }]);
    expect(await call("DELETE", `sessions/${newest.session_id}`, phone)).toMatchObject({ status: 204 });
    await ended(phone);
  });

  it("all others end when the password is changed, and it is another one from then on", async () => {
    const { token: server } = await logIn(base, bob, `${receiver.url}/bob`);
    const phone = (await start(PASSWORD)).json["access_token"] as string;
    const change = (current_password: string, password: string, token = phone): Promise<Answer> =>
      call("PUT", "users/me/password", token, { current_password, password });
    for (const weak of ["short", "password1", bob.name.padEnd(8)]) {
      expect(await change(PASSWORD, weak.trim() === bob.name ? bob.name : weak)).toMatchObject({ status: 400 });
    }
    expect(await change("not it", "fünf schöne Wörter")).toMatchObject({ status: 403, json: { code: "wrong_password" } });
    expect(await listed(phone)).toHaveLength(3);

    expect(await change(PASSWORD, "fünf schöne Wörter".normalize("NFD"))).toMatchObject({ status: 204 });
    await ended(server);
    await ended(bob.token);
    expect(await listed(phone)).toMatchObject([{ is_current: true }]);
    expect(await start(PASSWORD)).toMatchObject({ status: 401 });
    expect(await start("fünf schöne Wörter".normalize("NFC"))).toMatchObject({ status: 201 });
    expect(await start("fünf schöne Wörter".normalize("NFD"))).toMatchObject({ status: 201 });
    const { endpoints } = (await call("GET", "endpoints", phone)).json as { endpoints: unknown[] };
    expect(endpoints).toMatchObject([{ state: "disabled", reason: "the password was changed" }]);
  });

  it("none begins by a password that was changed while it was looked at", async () => {
    for (let round = 0; round < 5; round += 1) {
      const person = await register(base);
      const change = { current_password: PASSWORD, password: "a better one than before" };
      const log = () => http(`${base}/api/sessions/`, { body: { username: person.name, password: PASSWORD } });
      const token = { name: "t", scopes: ["messages:read"], password: PASSWORD };
      const [changed, ...others] = await Promise.all([
        call("PUT", "users/me/password", person.token, change),
        log(),
        log(),
        call("POST", "tokens", person.token, token),
      ]);
      expect(changed.status).toBe(204);
      // What began before it has ended with it, but for a token, which was made by the password of then.
      for (const { status, json } of others.slice(0, 2)) if (status === 201) await ended(json["access_token"] as string);
    }
  });

  it("of two changes of a password at once, one is made", async () => {
    const change = (password: string): Promise<Answer> =>
      call("PUT", "users/me/password", bob.token, { current_password: PASSWORD, password });
    const statuses = (await Promise.all([change("the one of them"), change("the other of them")])).map(({ status }) => status);
    expect(statuses.toSorted((one, other) => one - other)).toEqual([204, 403]);
  });
});
