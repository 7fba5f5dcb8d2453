import {
  type Answer,
  http,
  logIn,
  type Person,
  register,
  type ScriptedReceiver,
  send,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

const THUMB = encodeURIComponent("👍");
/** Each is one emoji. */
const EMOJI = Array.from("😀😃😄😁😆😅😂🙂🙃😉😊😇🥰😍🤩😘😗😚😙🥲");

describe.each(deployments)("messages, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    [ada, bob] = [await register(base), await register(base)];
  });

  const call = (method: string, path: string, by: Person, body?: unknown): Promise<Answer> =>
    http(`${other}/api/${path}`, { method, body, token: by.token });
  const code = async (answer: Promise<Answer>): Promise<unknown> => {
    const { status, json } = await answer;
    return json["code"] ?? status;
  };
  const lastEvent = async (person: Person): Promise<unknown> =>
    ((await call("GET", "events?after=0", person)).json["events"] as object[]).at(-1);

  describe("reactions", () => {
    it("are there once for each user and kind, counted, and told to both", async () => {
      const id = await sendSurely(base, ada, bob);
      const reactions = async (by: Person) => (await call("GET", `messages/${id}`, by)).json["reactions"];
      expect(await reactions(bob)).toEqual([]);
      expect(await code(call("PUT", `messages/${id}/reactions/${THUMB}`, bob))).toBe(204);
      expect(await code(call("PUT", `messages/${id}/reactions/${THUMB}`, bob))).toBe(204);
      expect(await lastEvent(ada)).toMatchObject({
        seq: 1,
        type: "reaction.added",
        emoji: "👍",
        user_id: bob.id,
        message_id: id,
      });
      expect(await reactions(bob)).toEqual([{ emoji: "👍", count: 1, mine: true }]);
      await call("PUT", `messages/${id}/reactions/${THUMB}`, ada);
      await call("PUT", `messages/${id}/reactions/${encodeURIComponent("🏳️‍🌈")}`, ada);
      expect(await reactions(bob)).toEqual([
        { emoji: "🏳️‍🌈", count: 1, mine: false },
        { emoji: "👍", count: 2, mine: true },
      ]);
      expect(await code(call("DELETE", `messages/${id}/reactions/${THUMB}`, bob))).toBe(204);
      expect(await lastEvent(ada)).toMatchObject({ type: "reaction.removed", emoji: "👍", user_id: bob.id });
      expect(await reactions(bob)).toEqual([
        { emoji: "🏳️‍🌈", count: 1, mine: false },
        { emoji: "👍", count: 1, mine: false },
      ]);
    });

    it.each(["a", "👍👍", "👍a", "1", ":)", " "])("are not made of %j", async (text) => {
      const id = await sendSurely(base, ada, bob);
      expect(await code(call("PUT", `messages/${id}/reactions/${encodeURIComponent(text)}`, bob))).toBe("validation_error");
    });

    it("are of 20 kinds at most, of which each can have more", async () => {
      const id = await sendSurely(base, ada, bob);
      for (const emoji of EMOJI) {
        expect(await code(call("PUT", `messages/${id}/reactions/${encodeURIComponent(emoji)}`, bob))).toBe(204);
      }
      expect(await code(call("PUT", `messages/${id}/reactions/${THUMB}`, ada))).toBe("too_many_reactions");
      expect(await code(call("PUT", `messages/${id}/reactions/${encodeURIComponent(EMOJI[0] as string)}`, ada))).toBe(204);
    });

    it("go with the message, and stay as nobody's when the account goes", async () => {
      const [one, two] = [await sendSurely(base, ada, bob), await sendSurely(base, ada, bob)];
      await call("PUT", `messages/${one}/reactions/${THUMB}`, bob);
      await call("DELETE", `messages/${one}`, ada);
      expect(await code(call("PUT", `messages/${one}/reactions/${THUMB}`, bob))).toBe("no_such_message");
      await call("PUT", `messages/${two}/reactions/${THUMB}`, bob);
      await http(`${base}/api/users/`, { method: "DELETE", body: { user_id: bob.id }, token: bob.token });
      expect((await call("GET", `messages/${two}`, ada)).json).toMatchObject({
        reactions: [{ emoji: "👍", count: 1, mine: false }],
      });
    });
  });

  describe("answers", () => {
    const body = (text: string, reply_to: string): object => ({
      message: text,
      sender_id: ada.id,
      sender_username: ada.name,
      receiver_id: bob.id,
      send_date: "2026-01-02 03:04:05",
      reply_to,
    });

    it("name the message that they answer, wherever they are read, and keep it when they are edited", async () => {
      const first = await sendSurely(base, bob, ada, "a question");
      const sent = await http(`${base}/api/messages/`, {
        body: body("an answer", first),
        token: ada.token,
        accept: "application/json",
      });
      const id = sent.json["message_id"] as string;
      expect(sent.status, sent.text).toBe(200);
      expect(await lastEvent(bob)).toMatchObject({ message: "an answer", reply_to: first });
      await call("PATCH", `messages/${id}`, ada, { message: "a better answer" });
      expect((await call("GET", `messages/${id}`, bob)).json).toMatchObject({ message: "a better answer", reply_to: first });
    });

    it("are refused where the message is not in that conversation", async () => {
      const eve = await register(base);
      const elsewhere = await sendSurely(base, ada, eve, "elsewhere");
      const foreign = await sendSurely(base, eve, bob, "foreign");
      for (const id of [elsewhere, foreign, "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f"]) {
        const answer = http(`${base}/api/messages/`, { body: body("re", id), token: ada.token, accept: "application/json" });
        expect(await code(answer)).toBe("no_such_message");
      }
      expect((await call("GET", "events?after=0", bob)).json["events"]).toHaveLength(1);
    });
  });

  describe("what became of one", () => {
    let receiver: ScriptedReceiver;

    beforeAll(async () => {
      receiver = await startScriptedReceiver();
    });
    afterAll(() => receiver.close());

    const deliveries = async (id: string, by: Person): Promise<unknown> =>
      (await call("GET", `messages/${id}/deliveries`, by)).json["deliveries"];

    it("is told to who sent it, for each of those it was for, and to nobody else", async () => {
      const eve = await register(base);
      await logIn(base, eve, `${receiver.url}/${eve.name}`);
      const made = await call("POST", "conversations", ada, { title: "Three", member_ids: [bob.id, eve.id] });
      const { conversation_id: group } = made.json["conversation"] as { conversation_id: number };
      receiver.behave({ status: 503 });
      const sent = await call("POST", `conversations/${group}/messages`, ada, { message: "hello" });
      const id = sent.json["message_id"] as string;
      const retrying = await waitFor(
        async () => {
          const states = (await deliveries(id, ada)) as { state: string; retry_at: string | null }[];
          return states[1]?.state === "retrying" && states[1].retry_at !== null ? states : undefined;
        },
        { what: "a retry to be planned" },
      );
      expect(retrying).toMatchObject([
        { user_id: bob.id, state: "held", retry_at: null, read: false },
        { user_id: eve.id, state: "retrying", read: false },
      ]);
      receiver.behave({ status: 200 });
      await logIn(base, eve, `${receiver.url}/${eve.name}`); // tried at once
      await waitFor(async () => ((await deliveries(id, ada)) as { state: string }[])[1]?.state === "delivered", {
        what: "the delivery",
      });
      await call("POST", `conversations/${group}/read`, bob, { message_id: id });
      expect(await deliveries(id, ada)).toMatchObject([
        { state: "held", read: true },
        { state: "delivered", read: false },
      ]);
      expect(await code(call("GET", `messages/${id}/deliveries`, bob))).toBe("forbidden");
      expect(await code(call("GET", `messages/${id}/deliveries`, await register(base)))).toBe("no_such_message");
    });
  });

  describe("the list of all", () => {
    it("has what one sent and received in every conversation, the newest first, page by page", async () => {
      const people = [await register(base), await register(base), await register(base)];
      const expected: string[] = [];
      for (let n = 0; n < 24; n += 1) {
        const peer = people[(n * n) % 3] as Person;
        const [from, to] = n % 2 === 0 ? [ada, peer] : [peer, ada];
        expected.unshift(await sendSurely(base, from, to, `m${n}`));
      }
      await sendSurely(base, people[0] as Person, people[1] as Person, "none of mine");
      const deleted = expected.splice(5, 1)[0] as string;
      for (const by of [ada, ...people]) await call("DELETE", `messages/${deleted}`, by);
      const read = async (query: string): Promise<string[]> => {
        const ids: string[] = [];
        for (let cursor = ""; ;) {
          const { json } = await call("GET", `messages?limit=5${query}${cursor}`, ada);
          ids.push(...(json["messages"] as { message_id: string }[]).map(({ message_id }) => message_id));
          if (json["next_cursor"] === null) return ids;
          cursor = `&cursor=${json["next_cursor"] as string}`;
        }
      };
      expect(await read("")).toEqual(expected);
      const { created_at: at } = (await call("GET", `messages/${expected[7] as string}`, ada)).json as { created_at: string };
      expect(await read(`&until=${at}`)).toEqual(expected.slice(8).filter((id) => expected.indexOf(id) > 7));
      expect(await read(`&since=${at}`)).toEqual(expected.slice(0, 8));
      expect(await code(call("GET", "messages?since=yesterday", ada))).toBe("validation_error");
    });
  });

  it("are told as read to nobody but oneself where one's receipts are switched off", async () => {
    const id = await sendSurely(base, ada, bob);
    const { conversation_id } = (await send(base, ada, bob)).json as { conversation_id: number };
    expect((await call("PATCH", "users/me", bob, { receipts: false })).json).toMatchObject({ user_id: bob.id, receipts: false });
    await call("POST", `conversations/${conversation_id}/read`, bob, { message_id: id });
    expect(await lastEvent(bob)).toMatchObject({ type: "receipt.read", user_id: bob.id });
    expect((await call("GET", "events?after=0", ada)).json["events"]).toEqual([]);
    expect((await call("GET", `messages/${id}/deliveries`, ada)).json).toMatchObject({ deliveries: [{ read: null }] });
  });
});
