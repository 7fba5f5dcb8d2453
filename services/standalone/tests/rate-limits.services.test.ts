import { setTimeout as sleep } from "node:timers/promises";
import { type ApiSettings, rateLimitsSetting } from "@messenger/listener";
import { findAccountByName, setPlan } from "@messenger/store";
import { loginKeys } from "@messenger/core";
import { type Answer, http, messageBody, type Person, register } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, describe, expect, it } from "vitest";
import { newPart, openListener } from "./deployments.ts";

type Part = Awaited<ReturnType<typeof newPart>>;
const opened: Part[] = [];
afterEach(async () => {
  for (const { closing } of opened.splice(0)) await closing.closeAll();
});

async function open(listeners: number, settings: Partial<ApiSettings>): Promise<{ part: Part; urls: string[] }> {
  const part = await newPart(settings);
  opened.push(part);
  const urls: string[] = [];
  for (let n = 0; n < listeners; n += 1) urls.push((await openListener(part)).url);
  return { part, urls };
}

/** Waits until a minute has a while to go, so that it is not over in the middle of a burst. */
async function untilEarlyInMinute(): Promise<void> {
  while (Date.now() % 60_000 > 35_000) await sleep(60_000 - (Date.now() % 60_000));
}

const readsOf = (url: string, { token }: Person): Promise<Answer> => http(`${url}/api/users/me/`, { token });
const statuses = (answers: readonly Answer[]): number[] => answers.map(({ status }) => status);

describe("limits of requests", { timeout: 90_000 }, () => {
  it("let through what a user may, over three listeners, with few statements", async () => {
    const { part, urls } = await open(3, { rateLimits: rateLimitsSetting.parse("read=600") });
    const ada = await register(urls[0] as string);
    const bob = await register(urls[0] as string);
    await sql`create sequence draws`.execute(part.database.store.db);
    await sql`
      create function count_draw() returns trigger language plpgsql as 'begin perform nextval(''draws''); return null; end'
    `.execute(part.database.store.db);
    await sql`
      create trigger count_draws before insert on rate_limits for each statement execute function count_draw()
    `.execute(part.database.store.db);
    await untilEarlyInMinute();
    const answers: Answer[] = [];
    for (let n = 0; n < 10; n += 1) {
      answers.push(...(await Promise.all(Array.from({ length: 90 }, (_, m) => readsOf(urls[m % 3] as string, ada)))));
    }
    const taken = answers.filter(({ status }) => status === 200).length;
    expect(taken).toBeGreaterThanOrEqual(570);
    expect(taken).toBeLessThanOrEqual(630);
    const { rows } = await sql<{ draws: number }>`select last_value as draws from draws`.execute(part.database.store.db);
    expect(rows[0]?.draws).toBeLessThanOrEqual(taken / 20 + 3); // the last one of each listener finds nothing left
    const refused = answers.findLast(({ status }) => status === 429) as Answer;
    expect(refused.json).toMatchObject({
      code: "rate_limited",
      detail: "at most 600 requests of this kind (read) are taken in a minute",
    });
    expect(refused.headers["ratelimit-policy"]).toBe('"read";q=600;w=60');
    expect(refused.headers["ratelimit"]).toBe(`"read";r=0;t=${String(refused.headers["retry-after"])}`);
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    // Others are counted by themselves, and so are requests of other kinds.
    expect((await readsOf(urls[0] as string, bob)).status).toBe(200);
    const sent = await http(`${urls[0] as string}/api/messages/`, { body: messageBody(ada, bob), token: ada.token });
    expect(sent).toMatchObject({ status: 200, headers: { "ratelimit-policy": '"send";q=3000;w=60' } });
  });

  it("hold as an operator sets them: to send 1, read 10 and edit 3 a minute, and more for a plan", async () => {
    const rateLimits = rateLimitsSetting.parse("send=1,read=10,edit=3,bulk:send=100");
    const { part, urls } = await open(1, { rateLimits });
    const [url] = urls as [string];
    const ada = await register(url);
    const bob = await register(url);
    await untilEarlyInMinute();
    const send = (): Promise<Answer> => http(`${url}/api/messages/`, { body: messageBody(ada, bob), token: ada.token });
    const first = await send();
    expect(first.status).toBe(200);
    const { headers } = first;
    expect(statuses([await send(), await send()])).toEqual([429, 429]);
    const edits = [];
    for (let n = 0; n < 5; n += 1) {
      edits.push(await http(url + String(headers["location"]), { method: "PATCH", body: { message: `${n}` }, token: ada.token }));
    }
    expect(statuses(edits)).toEqual([200, 200, 200, 429, 429]);
    const reads = [];
    for (let n = 0; n < 12; n += 1) reads.push(await readsOf(url, ada));
    expect(statuses(reads)).toEqual([...Array.from({ length: 10 }, () => 200), 429, 429]);
    expect(reads.map((read) => read.headers["ratelimit"])[3]).toMatch(/^"read";r=6;t=\d+$/u);

    const { db } = part.database.store;
    const { id } = (await findAccountByName(db, loginKeys(bob.name))) ?? { id: 0 };
    expect(await setPlan(db, "test", id, "bulk")).toBe(true);
    const many = [];
    for (let n = 0; n < 20; n += 1) {
      many.push(await http(`${url}/api/messages/`, { body: messageBody(bob, ada), token: bob.token }));
    }
    expect(new Set(statuses(many))).toEqual(new Set([200]));
  });

  it("let few messages through to somebody who does not answer, and many to who does", async () => {
    const { urls } = await open(1, { rateLimits: rateLimitsSetting.parse("unanswered=5") });
    const [url] = urls as [string];
    const [ada, bob, eve] = [await register(url), await register(url), await register(url)];
    const send = (from: Person, to: Person): Promise<Answer> =>
      http(`${url}/api/messages/`, { body: messageBody(from, to), token: from.token, accept: "application/json" });
    const sent = [];
    for (let n = 0; n < 7; n += 1) sent.push(await send(ada, bob));
    expect(statuses(sent)).toEqual([200, 200, 200, 200, 200, 429, 429]);
    expect(sent[6]?.json).toMatchObject({ code: "rate_limited" });
    expect(Number(sent[6]?.headers["retry-after"])).toBeGreaterThan(0);
    expect((await send(ada, eve)).status).toBe(200);
    expect((await send(bob, ada)).status).toBe(200);
    for (let n = 0; n < 20; n += 1) expect((await send(ada, bob)).status).toBe(200);
  });

  it("count those who are not signed in by their networks", async () => {
    const rateLimits = rateLimitsSetting.parse("other=2");
    const { urls } = await open(1, { rateLimits, trustedProxies: ["127.0.0.0/8"] });
    await untilEarlyInMinute();
    const ask = (from: string): Promise<Answer> =>
      http(`${urls[0] as string}/api/password-resets/`, { body: { username: "ada" }, headers: { "x-forwarded-for": from } });
    const answers = [];
    for (const from of ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"]) answers.push(await ask(from));
    expect(statuses(answers)).toEqual([202, 202, 429, 202]);
  });

  it("leave this machine itself alone where none are set", async () => {
    const { urls } = await open(1, {});
    expect((await readsOf(urls[0] as string, await register(urls[0] as string))).headers).not.toHaveProperty("ratelimit");
  });

  it("hold the front door of messages to its own, where its operator wants that", async () => {
    const { urls } = await open(2, { frontDoorLimits: "strict" });
    const [url, other] = urls as [string, string];
    const ada = await register(url);
    const bob = await register(url);
    await untilEarlyInMinute();
    const send = (to: string): Promise<Answer> =>
      http(`${to}/messages/`, { body: { recipient_id: bob.id, content: "hello" }, token: ada.token });
    expect(statuses([await send(url), await send(other)])).toEqual([200, 429]);
    const listed = [];
    for (let n = 0; n < 11; n += 1) listed.push(await http(`${url}/messages/`, { token: ada.token }));
    expect(statuses(listed)).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
    expect(listed[10]?.json).toEqual({ detail: "at most 10 requests of this kind (door-read) are taken in a minute" });
    const [{ id }] = (listed[0] as Answer).json as unknown as [{ id: string }];
    const edits = [];
    for (let n = 0; n < 4; n += 1) {
      edits.push(await http(`${url}/messages/${id}`, { method: "PUT", body: { content: `${n}` }, token: ada.token }));
    }
    expect(statuses(edits)).toEqual([200, 200, 200, 429]);
    const unknown = [];
    for (let n = 0; n < 11; n += 1) unknown.push(await http(`${url}/messages/`));
    expect(statuses(unknown)).toEqual([...Array.from({ length: 10 }, () => 401), 429]);
    // The API itself goes on.
    expect((await http(`${url}/api/messages/`, { token: ada.token })).status).toBe(200);
  });
});
