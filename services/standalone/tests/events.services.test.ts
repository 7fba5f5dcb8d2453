import {
  type EventStream,
  http,
  logIn,
  openEventStream,
  type Person,
  register,
  send,
  sendSurely,
  waitFor,
} from "@messenger/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

interface Event {
  seq: number;
  id: string;
  type: string;
  message?: string;
}

describe.each(deployments)("events, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let other: string;
  const open: EventStream[] = [];

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
    other = deployment.urls.at(-1) as string;
  });
  afterAll(() => deployment.close());
  afterEach(() => {
    for (const stream of open.splice(0)) stream.close();
  });

  async function follow(person: { token: string }, query = "", headers?: Record<string, string>): Promise<EventStream> {
    const stream = await openEventStream(`${other}/api/events/stream${query}`, person.token, headers);
    open.push(stream);
    return stream;
  }
  const pull = (person: Person, query: string) => http(`${other}/api/events?${query}`, { token: person.token });
  const texts = (stream: EventStream) => stream.arrived.map(({ data }) => data["message"]);
  const arrival = (stream: EventStream, count: number) =>
    waitFor(() => stream.arrived.length >= count, { what: `${count} events to arrive` });

  it("are pulled after any seq, in order, until there are no more", async () => {
    const [ada, bob] = [await register(base), await register(base)];
    for (let n = 1; n <= 7; n += 1) await sendSurely(base, ada, bob, `message ${n}`);
    for (let after = 0; after <= 7; after += 1) {
      const seen: number[] = [];
      for (let next = after, more = true; more;) {
        const { json } = await pull(bob, `after=${next}&limit=3`);
        const events = json["events"] as Event[];
        seen.push(...events.map(({ seq }) => seq));
        for (const { seq, message, type } of events) expect([message, type]).toEqual([`message ${seq}`, "message.created"]);
        more = json["has_more"] as boolean;
        if (more) expect(json["next_after"]).toBeGreaterThan(next);
        next = json["next_after"] as number;
      }
      expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7].slice(after));
    }
    expect(await pull(bob, "after=8")).toMatchObject({ status: 404, json: { code: "no_such_event" } });
    for (const query of ["", "after=-1", "after=1.5", "after=x", "after=0&limit=101", "after=0&before=2"]) {
      expect([query, await pull(bob, query)]).toMatchObject([query, { status: 400, json: { code: "validation_error" } }]);
    }
  });

  it("come by a stream at another listener as they happen, each once, in order, as they are pulled and pushed", async () => {
    const [ada, bob] = [await register(base), await register(base)];
    await sendSurely(base, ada, bob, "before");
    const stream = await follow(bob);
    for (let n = 1; n <= 20; n += 1) await sendSurely(base, ada, bob, `message ${n}`);
    await arrival(stream, 20);
    expect(texts(stream)).toEqual(Array.from({ length: 20 }, (_, n) => `message ${n + 1}`));
    expect(stream.arrived.map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, n) => String(n + 2)));
    const { json } = await pull(bob, "after=1");
    expect(stream.arrived.map(({ data }) => data)).toEqual(json["events"]);
  });

  it("go on after Last-Event-ID, or after what the query says, with all that came meanwhile", async () => {
    const [ada, bob] = [await register(base), await register(base)];
    for (let n = 1; n <= 230; n += 1) await sendSurely(base, ada, bob, `message ${n}`);
    const all = Array.from({ length: 230 }, (_, n) => `message ${n + 1}`);
    for (const [query, headers, after] of [
      ["", { "last-event-id": "5" }, 5],
      ["?after=3", undefined, 3],
      ["?after=3", { "last-event-id": "210" }, 210],
      ["?after=0", undefined, 0],
    ] as const) {
      const stream = await follow(bob, query, headers);
      await arrival(stream, 230 - after);
      expect(texts(stream)).toEqual(all.slice(after));
    }
  });

  it("begin with resync where the place to go on at is not in the log", async () => {
    const [ada, bob] = [await register(base), await register(base)];
    await sendSurely(base, ada, bob);
    const stream = await follow(bob, "?after=7");
    await arrival(stream, 1);
    await sendSurely(base, ada, bob, "after that");
    await arrival(stream, 2);
    expect(stream.arrived).toMatchObject([
      { id: "1", event: "resync", data: { seq: 1 } },
      { id: "2", event: "message.created", data: { message: "after that" } },
    ]);
  });

  it("tell other sessions what one has sent, and show nothing of others", async () => {
    const [ada, bob, eve] = [await register(base), await register(base), await register(base)];
    const second = await logIn(base, ada, "http://127.0.0.1:9/");
    const [mine, hers] = [await follow(second), await follow(eve)];
    await send(base, ada, bob);
    await send(base, bob, eve, "for eve");
    await arrival(hers, 1);
    await arrival(mine, 1);
    expect(mine.arrived.map(({ event }) => event)).toEqual(["message.sent"]);
    expect(texts(hers)).toEqual(["for eve"]);
  });

  it("end with their session, wherever it was ended", async () => {
    const ada = await register(base);
    const session = await logIn(base, ada, "http://127.0.0.1:9/");
    const [stream, first] = [await follow(session), await follow(ada)];
    await http(`${base}/api/logout/`, { body: { username: ada.name }, token: session.token });
    await stream.ended;
    await expect(follow(session)).rejects.toThrow("401");
    await http(`${base}/api/users/`, { method: "DELETE", body: { user_id: ada.id }, token: ada.token });
    await first.ended;
  });

  it("are streamed to no more than 20 clients of a user at a listener, and to others when some have gone", async () => {
    const ada = await register(base);
    const streams = await Promise.all(Array.from({ length: 20 }, () => follow(ada)));
    await expect(follow(ada)).rejects.toThrow("too_many_streams");
    streams[0]?.close();
    await waitFor(
      () =>
        follow(ada).then(
          () => true,
          () => false,
        ),
      { what: "room for another stream" },
    );
  });

  it("leave room for others, at whatever moment their clients go away", async () => {
    const ada = await register(base);
    const url = `${other}/api/events/stream`;
    for (let n = 0; n < 60; n += 1) {
      const gone = new AbortController();
      const asked = fetch(url, { headers: { authorization: `Bearer ${ada.token}` }, signal: gone.signal }).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, n % 12));
      gone.abort();
      await asked;
    }
    const all = () => Promise.all(Array.from({ length: 20 }, () => follow(ada)));
    await waitFor(
      () =>
        all().then(
          () => true,
          () => {
            for (const stream of open.splice(0)) stream.close();
            return false;
          },
        ),
      { what: "room for twenty streams" },
    );
  });

  it("carry the headers of an answer that nobody keeps", async () => {
    const ada = await register(base);
    const controller = new AbortController();
    const answer = await fetch(`${base}/api/events/stream`, {
      headers: { authorization: `Bearer ${ada.token}` },
      signal: controller.signal,
    });
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": expect.stringMatching(/\S/u),
    });
    controller.abort();
  });
});
