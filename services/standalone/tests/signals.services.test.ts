import { setTimeout as sleep } from "node:timers/promises";
import {
  type Answer,
  type EventStream,
  http,
  openEventStream,
  type Person,
  register,
  sendSurely,
  waitFor,
} from "@messenger/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

describe.each(deployments)("what passes, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;
  let ada: Person;
  let bob: Person;
  let conversation: number;
  const streams: EventStream[] = [];

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    [ada, bob] = [await register(base), await register(base)];
    const id = await sendSurely(base, ada, bob);
    conversation = (await call("GET", `messages/${id}`, ada)).json["conversation_id"] as number;
  });
  afterEach(() => {
    for (const stream of streams.splice(0)) stream.close();
  });

  const call = (method: string, path: string, by: Person, body?: unknown): Promise<Answer> =>
    http(`${base}/api/${path}`, { method, body, token: by.token });
  const type = (by: Person) => call("POST", `conversations/${conversation}/typing`, by);
  async function open(by: Person, url = other): Promise<EventStream> {
    const stream = await openEventStream(`${url}/api/events/stream`, by.token);
    streams.push(stream);
    return stream;
  }
  const heard = (stream: EventStream, kind: string) => stream.arrived.filter(({ event }) => event === kind);
  /** Messages come after all that passed before them. */
  async function afterAMessage(stream: EventStream, from: Person, to: Person): Promise<void> {
    const before = heard(stream, "message.created").length;
    await sendSurely(base, from, to);
    await waitFor(() => heard(stream, "message.created").length > before, { what: "the message" });
  }

  it("is typing, which others who follow are told once in a while, and which is in no log", async () => {
    const [atBob, atAda] = [await open(bob), await open(ada)];
    for (let n = 0; n < 5; n += 1) expect((await type(ada)).status).toBe(204);
    await waitFor(() => heard(atBob, "typing").length > 0, { what: "the signal" });
    expect(heard(atBob, "typing")).toEqual([
      { id: undefined, event: "typing", data: { type: "typing", user_id: ada.id, conversation_id: conversation } },
    ]);
    await afterAMessage(atBob, ada, bob);
    expect(heard(atBob, "typing")).toHaveLength(1);
    expect(heard(atAda, "typing")).toEqual([]);
    const { events } = (await call("GET", "events?after=0", bob)).json as { events: { type: string }[] };
    expect(events.map((event) => event.type)).toEqual(["message.created", "message.created"]);
  });

  it("is told to nobody where one lets nobody know, and by nobody who takes no part", async () => {
    const eve = await register(base);
    expect((await type(eve)).json).toMatchObject({ code: "no_such_conversation" });
    await call("PATCH", "users/me", ada, { typing: false });
    const atBob = await open(bob);
    expect((await type(ada)).status).toBe(204);
    await afterAMessage(atBob, ada, bob);
    expect(heard(atBob, "typing")).toEqual([]);
  });

  it("is presence, of those one writes with: who comes is seen, and sees who was there before", async () => {
    const eve = await register(base);
    await sendSurely(base, bob, ada); // each has written to the other
    const [atBob, atEve] = [await open(bob), await open(eve)];
    const atAda = await open(ada, base);
    const presenceOf = ({ id }: Person) => ({ id: undefined, event: "presence", data: { type: "presence", user_id: id } });
    await waitFor(() => heard(atBob, "presence").length > 0 && heard(atAda, "presence").length > 0, { what: "both to be seen" });
    expect(heard(atBob, "presence")).toContainEqual(presenceOf(ada));
    expect(heard(atAda, "presence")).toContainEqual(presenceOf(bob));
    expect(heard(atEve, "presence")).toEqual([]);
  });

  it("shows nobody to those whom they never wrote to, whoever opens a conversation with them", async () => {
    const eve = await register(base);
    const opened = await call("POST", "conversations", eve, { user_id: bob.id });
    const { conversation_id: id } = opened.json["conversation"] as { conversation_id: number };
    const [atBob, atEve] = [await open(bob), await open(eve, base)];
    expect((await call("POST", `conversations/${id}/typing`, eve)).status).toBe(204);
    await afterAMessage(atBob, ada, bob);
    expect(atBob.arrived.filter(({ id: seq }) => seq === undefined)).toEqual([]);
    await afterAMessage(atEve, ada, eve);
    expect(heard(atEve, "presence")).toEqual([]);
  });

  it("is no presence any more some seconds after one lets nobody know, on a stream that is open", async () => {
    await sendSurely(base, bob, ada);
    await open(bob);
    await call("PATCH", "users/me", bob, { presence: false });
    await sleep(5_100); // for so long it is not looked again
    const atAda = await open(ada, base);
    await afterAMessage(atAda, bob, ada);
    expect(heard(atAda, "presence")).toEqual([]);
  });

  it("is typing told once, whatever number of requests come at once", async () => {
    const atBob = await open(bob);
    await Promise.all(Array.from({ length: 20 }, () => type(ada)));
    await afterAMessage(atBob, ada, bob);
    expect(heard(atBob, "typing")).toHaveLength(1);
  });

  it("is no presence where one lets nobody know", async () => {
    await call("PATCH", "users/me", ada, { presence: false });
    const atBob = await open(bob);
    await open(ada, base);
    await afterAMessage(atBob, ada, bob);
    expect(heard(atBob, "presence")).toEqual([]);
  });

  describe("a ticket", () => {
    const ticketOf = async (by: Person): Promise<string> => (await call("POST", "events/tickets", by)).json["ticket"] as string;
    const refused = (ticket: string) => http(`${other}/api/events/stream?ticket=${ticket}`);

    it("opens one stream without a header, once, and at any listener", async () => {
      const made = await call("POST", "events/tickets", bob);
      expect(made).toMatchObject({ status: 201, json: { expires_in: 30 } });
      expect(made.headers["cache-control"]).toBe("no-store");
      const ticket = made.json["ticket"] as string;
      const stream = await openEventStream(`${other}/api/events/stream?ticket=${ticket}`, "");
      streams.push(stream);
      await sendSurely(base, ada, bob, "seen");
      await waitFor(() => heard(stream, "message.created").length > 0, { what: "the message" });
      expect(await refused(ticket)).toMatchObject({ status: 401, json: { code: "unauthorized" } });
    });

    it("is of no use once its session has ended, for another route, or where it was made up", async () => {
      const ticket = await ticketOf(bob);
      expect((await http(`${other}/api/events?after=0&ticket=${ticket}`)).status).toBe(401);
      await http(`${base}/api/logout/`, { body: { username: bob.name }, token: bob.token });
      expect((await refused(ticket)).status).toBe(401);
      for (const madeUp of ["x", "", "GmVq0dLk1fE8u3yRzq2b1w"]) expect((await refused(madeUp)).status).toBe(401);
    });

    it("opens a stream that ends with the session", async () => {
      const ticket = await ticketOf(bob);
      const stream = await openEventStream(`${other}/api/events/stream?ticket=${ticket}`, "");
      await http(`${base}/api/logout/`, { body: { username: bob.name }, token: bob.token });
      await stream.ended;
    });
  });
});
