import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Answer,
  http,
  logIn,
  needProgram,
  PASSWORD,
  type Person,
  register,
  runCommand,
  sendSurely,
} from "@messenger/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

const NASTY = `<script>alert(1)</script><img src=x onerror=alert(2)> & "quotes" 'and' \u202Eback ]]>`;

describe.each(deployments)("an export, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let ada: Person;
  let bob: Person;
  let folder: string;

  beforeAll(async () => {
    await needProgram("unzip", "unzip");
    deployment = await deploy();
    base = deployment.urls[0] as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    [ada, bob] = [await register(base), await register(base)];
    folder = await mkdtemp(join(tmpdir(), "messenger-export-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const call = (method: string, path: string, by: Person, body?: unknown): Promise<Answer> =>
    http(`${base}/api/${path}`, { method, token: by.token, accept: "application/json", ...(body !== undefined && { body }) });

  async function unpack(): Promise<{ text: (path: string) => Promise<string>; json: (path: string) => Promise<unknown> }> {
    const answer = await fetch(`${base}/api/users/me/export/`, { headers: { authorization: `Bearer ${ada.token}` } });
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/zip"]);
    expect(answer.headers.get("content-disposition")).toContain(`messenger-${ada.id}.zip`);
    await writeFile(join(folder, "export.zip"), Buffer.from(await answer.arrayBuffer()));
    await runCommand("unzip", ["-q", join(folder, "export.zip"), "-d", folder]);
    const text = (path: string): Promise<string> => readFile(join(folder, path), "utf8");
    return { text, json: async (path) => JSON.parse(await text(path)) as unknown };
  }

  it("is a zip of all that one has, as JSON and as pages that load and run nothing", async () => {
    await logIn(base, ada, "http://127.0.0.1:1024/ada");
    await call("PATCH", "users/me", ada, { full_name: NASTY.slice(0, 60), about: "Poetical science." });
    await call("PUT", `users/${bob.id}/block`, ada);
    await call("DELETE", `users/${bob.id}/block`, ada);
    await call("POST", "tokens", ada, { name: "reports", scopes: ["messages:read"], password: PASSWORD });
    const first = await sendSurely(base, ada, bob, NASTY);
    await sendSurely(base, bob, ada, "hello back");
    const group = await call("POST", "conversations", ada, { title: `Group ${NASTY}`.slice(0, 90), member_ids: [bob.id] });
    const { conversation_id: groupId } = group.json["conversation"] as { conversation_id: number };
    await call("POST", `conversations/${groupId}/messages`, bob, { message: "to all" });
    const { conversation_id: direct } = (await call("GET", `messages/${first}`, ada)).json as { conversation_id: number };

    const { text, json } = await unpack();
    expect(await json("account.json")).toMatchObject({ id: ada.id, username: ada.name, about: "Poetical science." });
    expect(await json("sessions.json")).toHaveLength(2);
    expect(await json("tokens.json")).toMatchObject([{ name: "reports", scopes: ["messages:read"] }]);
    expect(await json("endpoints.json")).toMatchObject([{ address: "http://127.0.0.1:1024/ada", kept_by: "sessions" }]);
    expect(await json(`conversations/${groupId}/conversation.json`)).toMatchObject({ kind: "group", conversation_id: groupId });
    const messages = (await json(`conversations/${direct}/messages.json`)) as { message: string }[];
    expect(messages.map(({ message }) => message)).toEqual([NASTY, "hello back"]);
    expect(await json(`conversations/${groupId}/messages.json`)).toMatchObject([{ message: "to all", sender_id: bob.id }]);

    const pages = (await readdir(folder, { recursive: true })).filter((path) => path.endsWith(".html"));
    expect(pages).toHaveLength(3);
    for (const page of pages) {
      const html = await text(page);
      expect(html).toContain("default-src 'none'");
      expect(html).not.toMatch(/<script|<img/iu);
    }
    expect(await text(`conversations/${direct}/1.html`)).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(await text("index.html")).toContain(`href="conversations/${direct}/1.html"`);
  });

  it("has a page for each thousand messages of a conversation, and all of them", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 2_001; n += 50) {
      const some = Array.from({ length: Math.min(50, 2_001 - n) }, (_, m) => sendSurely(base, ada, bob, `n${n + m}`));
      ids.push(...(await Promise.all(some)));
    }
    const { conversation_id: id } = (await call("GET", `messages/${ids[0] as string}`, ada)).json as { conversation_id: number };
    const { text, json } = await unpack();
    const messages = (await json(`conversations/${id}/messages.json`)) as { message_id: string }[];
    expect(messages.map(({ message_id: message }) => message).toSorted()).toEqual(ids.toSorted());
    const counts = await Promise.all(
      [1, 2, 3].map(async (n) => (await text(`conversations/${id}/${n}.html`)).split("<article").length - 1),
    );
    expect(counts).toEqual([1_000, 1_000, 1]);
    expect(await text(`conversations/${id}/2.html`)).toMatch(/href="1\.html"[\s\S]*href="3\.html"/u);
    expect(await text(`conversations/${id}/3.html`)).not.toContain('href="4.html"');
  }, 60_000);

  it("is one at a time, and can be made again once it broke off", async () => {
    for (let n = 0; n < 40; n += 1) await sendSurely(base, ada, bob, "x".repeat(4_000));
    const closing = new AbortController();
    const headers = { authorization: `Bearer ${ada.token}` };
    const first = await fetch(`${base}/api/users/me/export/`, { headers, signal: closing.signal });
    expect(first.status).toBe(200);
    closing.abort();
    await expect
      .poll(async () => {
        const again = await fetch(`${base}/api/users/me/export/`, { headers });
        await again.arrayBuffer();
        return again.status;
      })
      .toBe(200);
  });
});
