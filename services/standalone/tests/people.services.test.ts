import { type Answer, http, type Person, register, send, sendSurely, waitFor } from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

describe.each(deployments)("people, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let ada: Person;
  let bob: Person;
  /** Stands in every name of a test. */
  let mark: string;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    [ada, bob] = [await register(base), await register(base)];
    mark = Array.from({ length: 8 }, () => String.fromCodePoint(97 + Math.floor(Math.random() * 26))).join("");
  });

  let turn = 0;
  function call(method: string, path: string, by: Person, body?: unknown): Promise<Answer> {
    turn += 1;
    const url = deployment.urls[turn % deployment.urls.length] as string;
    return http(`${url}/api/${path}`, {
      method,
      token: by.token,
      accept: "application/json",
      ...(body !== undefined && { body }),
    });
  }
  const called = async (fullName: string): Promise<Person> => {
    const person = await register(base);
    expect(await call("PATCH", "users/me", person, { full_name: fullName })).toMatchObject({ status: 200 });
    return person;
  };
  const search = async (q: string, by = ada): Promise<number[]> => {
    const { status, json } = await call("GET", `users?q=${encodeURIComponent(q)}`, by);
    expect({ status, json }).toMatchObject({ status: 200 });
    return (json["users"] as { user_id: number }[]).map(({ user_id: id }) => id);
  };

  it("are found by the beginning of a name or of a word of it, whatever its case and accents", async () => {
    const zoe = await called(`Zoë ${mark}é Ångström`);
    for (const q of [mark, `${mark.toUpperCase()}E`, `zoe ${mark}`, `ZOË ${mark}`, `  ${mark}  `]) {
      expect(await search(q)).toEqual([zoe.id]);
    }
    expect(await search(mark.slice(1))).toEqual([]);
    expect(await search(`${mark}%`)).toEqual([]);
    expect(await search(`${mark.slice(0, 3)}_${mark.slice(4)}`)).toEqual([]);
    expect(await search(zoe.name)).toEqual([zoe.id]);
    expect(await search(mark, zoe)).toEqual([]); // oneself
    for (const q of ["", "ab", "  a ", "\u0301\u0301\u0301", "a\u0301\u0301"])
      expect(await call("GET", `users?q=${encodeURIComponent(q)}`, ada)).toMatchObject({ status: 400 });

    expect(await call("PATCH", "users/me", zoe, { full_name: "Somebody Else" })).toMatchObject({ status: 200 });
    expect(await search(mark)).toEqual([]);
    const { json } = await call("GET", `users?q=${zoe.name}`, ada);
    expect(json).toEqual({ users: [{ user_id: zoe.id, username: zoe.name, full_name: "Somebody Else", about: null }] });
  });

  it("are twenty of many", async () => {
    for (let n = 0; n < 22; n += 1) await called(`${mark} ${n}`);
    expect(await search(mark)).toHaveLength(20);
  }, 60_000);

  it("are found by their e-mail address and phone number where they want that", async () => {
    const email = `${mark}@example.org`;
    const body = { email, password: "correct horse battery staple", full_name: "No Such Mark" };
    const made = await http(`${base}/api/users/`, { body });
    const carl = { ...ada, id: made.json["user_id"] as number, token: made.json["access_token"] as string };
    expect(await search(email)).toEqual([]);
    expect(await call("PATCH", "users/me", carl, { found_by_email: true })).toMatchObject({ json: { found_by_email: true } });
    expect(await search(email)).toEqual([carl.id]);
    expect(await search(email.slice(0, -1))).toEqual([]);
    expect(await search(`tel ${bob.name}`)).toEqual([]);
    await call("PATCH", "users/me", bob, { found_by_phone: true });
    expect(await search(`tel ${bob.name}`)).toEqual(/\d/u.test(bob.name) ? [bob.id] : []);
  });

  it("say something of themselves", async () => {
    expect(await call("PATCH", "users/me", bob, { about: "Poetical science." })).toMatchObject({
      json: { about: "Poetical science." },
    });
    expect(await call("GET", `users?username=${bob.name}`, ada)).toMatchObject({ json: { about: "Poetical science." } });
    expect(await call("PATCH", "users/me", bob, { about: "" })).toMatchObject({ json: { about: null } });
    expect(await call("PATCH", "users/me", bob, { about: "x".repeat(501) })).toMatchObject({ status: 400 });
  });

  it("cannot write to who blocks them, nor find or add them, and are not told", async () => {
    const first = await sendSurely(base, ada, bob, "before");
    const { conversation_id: direct } = (await call("GET", `messages/${first}`, ada)).json as { conversation_id: number };
    expect(await call("PUT", `users/${ada.id}/block`, bob)).toMatchObject({ status: 204 });
    expect(await call("PUT", `users/${ada.id}/block`, bob)).toMatchObject({ status: 204 });
    expect((await call("GET", "blocks", bob)).json).toMatchObject({ blocked: [{ user_id: ada.id, username: ada.name }] });

    const toNobody = await send(base, ada, { id: 2 ** 40 });
    const toBob = await send(base, ada, bob, "not any more");
    const told = ({ status, text }: Answer): unknown[] => [status, text.replaceAll(/[0-9a-f-]{16,}/gu, "…")];
    expect(told(toBob)).toEqual(told(toNobody));
    expect(await call("POST", `conversations/${direct}/messages`, ada, { message: "nor here" })).toMatchObject({
      status: 400,
      json: { code: "unknown_receiver" },
    });
    const group = { title: "All of us", member_ids: [bob.id] };
    expect(await call("POST", "conversations", ada, group)).toMatchObject({ status: 400, json: { code: "unknown_receiver" } });
    const own = (await call("POST", "conversations", ada, { title: "Mine" })).json["conversation"] as { conversation_id: number };
    expect(await call("POST", `conversations/${own.conversation_id}/members`, ada, { user_id: bob.id })).toMatchObject({
      status: 400,
    });
    expect(await search(bob.name)).toEqual([]);
    expect(await search(ada.name, bob)).toEqual([ada.id]);
    const { events } = (await call("GET", "events?after=0", bob)).json as { events: { message_id: string }[] };
    expect(events.map(({ message_id: id }) => id)).toEqual([first]);
    await sendSurely(base, bob, ada, "the other way it goes");

    expect(await call("DELETE", `users/${ada.id}/block`, bob)).toMatchObject({ status: 204 });
    await sendSurely(base, ada, bob, "again");
    expect(await search(bob.name)).toEqual([bob.id]);
    expect(await call("PUT", `users/${bob.id}/block`, bob)).toMatchObject({ status: 400 });
  });

  it("say nothing to who blocks them, by an edit or a reaction, and neither sees how far the other has read", async () => {
    const toBob = await sendSurely(base, ada, bob, "before");
    const toAda = await sendSurely(base, bob, ada, "an answer");
    const { conversation_id: direct } = (await call("GET", `messages/${toBob}`, ada)).json as { conversation_id: number };
    await call("PUT", `users/${ada.id}/block`, bob);
    const seqOf = async (by: Person) => (await call("GET", "conversations", by)).json["seq"] as number;
    const before = [await seqOf(ada), await seqOf(bob)] as const;

    expect(await call("PATCH", `messages/${toBob}`, ada, { message: "edited" })).toMatchObject({ status: 404 });
    expect(await call("PUT", `messages/${toAda}/reactions/${encodeURIComponent("👍")}`, ada)).toMatchObject({ status: 404 });
    expect(await call("POST", `conversations/${direct}/read`, ada, { message_id: toAda })).toMatchObject({ status: 200 });
    expect(await call("POST", `conversations/${direct}/read`, bob, { message_id: toBob })).toMatchObject({ status: 200 });
    // Each of them is told of their own marker alone.
    expect([await seqOf(ada), await seqOf(bob)]).toEqual([before[0] + 1, before[1] + 1]);
    expect((await call("GET", `messages/${toBob}`, bob)).json).toMatchObject({ message: "before", reactions: [] });
    expect(await call("PATCH", `messages/${toAda}`, bob, { message: "the other way it goes" })).toMatchObject({ status: 200 });
    expect(await call("DELETE", `messages/${toBob}`, ada)).toMatchObject({ status: 204 });

    await call("DELETE", `users/${ada.id}/block`, bob);
    expect(await call("PUT", `messages/${toAda}/reactions/${encodeURIComponent("👍")}`, ada)).toMatchObject({ status: 204 });
  });

  it("who blocks somebody is not seen typing by them", async () => {
    const sent = await sendSurely(base, ada, bob, "hello");
    await sendSurely(base, bob, ada, "hello to you");
    const { conversation_id: direct } = (await call("GET", `messages/${sent}`, ada)).json as { conversation_id: number };
    const seen: string[] = [];
    const closing = new AbortController();
    const stream = await fetch(`${base}/api/events/stream`, {
      headers: { authorization: `Bearer ${ada.token}` },
      signal: closing.signal,
    });
    const reading = (async () => {
      for await (const chunk of stream.body as ReadableStream<Uint8Array>) seen.push(Buffer.from(chunk).toString());
    })().catch(() => undefined);
    try {
      await call("PUT", `users/${ada.id}/block`, bob);
      expect(await call("POST", `conversations/${direct}/typing`, bob)).toMatchObject({ status: 204 });
      await call("DELETE", `users/${ada.id}/block`, bob);
      await sendSurely(base, bob, ada, "comes after that");
      await waitFor(() => seen.join("").includes("comes after that"), { what: "what came after it" });
      expect(seen.join("")).not.toContain("typing");
      // Of somebody who types on, it is not told each time.
      await waitFor(
        async () => {
          await call("POST", `conversations/${direct}/typing`, bob);
          return seen.join("").includes("typing");
        },
        { what: "that Bob types" },
      );
    } finally {
      closing.abort();
      await reading;
    }
  });
});
