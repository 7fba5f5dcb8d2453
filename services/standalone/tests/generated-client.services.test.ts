import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runCommand } from "@messenger/testkit";
import { generate } from "orval";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

type Answer = Promise<{ status: number; data: Record<string, unknown> }>;

/** What is called here of the client that is generated; its types are checked by the compiler below. */
interface Client {
  createUser(body: object, init: RequestInit): Answer;
  startSession(body: object, init: RequestInit): Answer;
  openConversation(body: object, init: RequestInit): Answer;
  sendToConversation(id: number, body: object, init: RequestInit): Answer;
  listMessages(id: number, query: object, init: RequestInit): Answer;
  addReaction(id: string, emoji: string, init: RequestInit): Answer;
  editMessage(id: string, body: object, init: RequestInit): Answer;
  deleteMessage(id: string, init: RequestInit): Answer;
  pullEvents(query: object, init: RequestInit): Answer;
  readConversation(id: number, init: RequestInit): Answer;
}

const DESCRIPTION = fileURLToPath(new URL("../../../docs/openapi.json", import.meta.url));

/** The file that is committed is all that a program is made of here. */
describe("a client that is generated from the description", () => {
  let folder: string;
  let file: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "messenger-client-"));
    file = join(folder, "client.ts");
  });
  afterAll(() => rm(folder, { recursive: true }));

  const make = (baseUrl: string): Promise<unknown> =>
    generate({ input: { target: DESCRIPTION }, output: { target: file, client: "fetch", baseUrl } }, folder);

  it("is understood by the compiler", async () => {
    await make("http://localhost/");
    const flags = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2024", "--module", "nodenext", "--ignoreConfig"];
    await runCommand("npx", ["tsc", ...flags, file]);
  });

  describe.each(deployments)("against Messenger, $name", ({ deploy }) => {
    let deployment: Deployment;

    beforeAll(async () => {
      deployment = await deploy();
    });
    afterAll(() => deployment.close());

    it("holds a conversation", async () => {
      const [base] = deployment.urls as [string];
      await make(base);
      const client = (await import(`${pathToFileURL(file).href}?${base}`)) as Client;
      const name = `generated-${Math.random().toString(36).slice(2)}`;
      const password = "correct horse battery";
      const inJson = { headers: { accept: "application/json" } };
      const ada = await client.createUser({ username: name, phone_number: `tel ${name}`, password }, inJson);
      expect(ada.status).toBe(201);
      const bob = await client.createUser({ email: `${name}@example.com`, full_name: "Bob", password }, inJson);
      const signedIn = await client.startSession({ username: name, password }, {});
      const by = (answer: Awaited<Answer>): RequestInit => ({
        headers: { authorization: `Bearer ${answer.data["access_token"] as string}`, accept: "application/json" },
      });

      const group = await client.openConversation({ title: "Generated", member_ids: [bob.data["user_id"]] }, by(signedIn));
      expect(group).toMatchObject({ status: 201, data: { conversation: { kind: "group", group: { title: "Generated" } } } });
      const { conversation_id: id } = group.data["conversation"] as { conversation_id: number };
      const sent = await client.sendToConversation(id, { message: "Hello Bob!" }, by(ada));
      const messageId = sent.data["message_id"] as string;
      expect((await client.addReaction(messageId, "👍", by(bob))).status).toBe(204);
      expect((await client.editMessage(messageId, { message: "Hello, Bob!" }, by(ada))).data).toMatchObject({ version: 2 });
      expect((await client.listMessages(id, { limit: 5, order: "oldest" }, by(bob))).data).toMatchObject({
        messages: [{ message: "Hello, Bob!", reactions: [{ emoji: "👍", count: 1, mine: true }] }],
      });
      expect((await client.deleteMessage(messageId, by(ada))).status).toBe(204);
      const { data } = await client.pullEvents({ after: 0 }, by(bob));
      expect((data["events"] as { type: string }[]).map(({ type }) => type)).toEqual([
        "conversation.created",
        "message.created",
        "reaction.added",
        "message.edited",
        "message.deleted",
      ]);
      expect(await client.readConversation(id + 1, by(bob))).toMatchObject({
        status: 404,
        data: { code: "no_such_conversation" },
      });
    });
  });
});
