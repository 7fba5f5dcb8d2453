import { type Answer, http, logIn, openEventStream, type Person, register, send, waitFor } from "@messenger/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";

interface Message {
  message_id: string;
  message: string;
  version: number;
  sender_id: number;
}

interface Event extends Partial<Message> {
  seq: number;
  type: string;
  id: string;
  conversation_id: number;
  message_id: string;
  user_id?: number;
}

/** What a client shows: for each conversation its messages, and how far one has read. */
class View {
  readonly conversations = new Map<number, { messages: Map<string, Omit<Message, "message_id">>; read: string | null }>();
  seq = 0;
  readonly #me: number;
  readonly #seen = new Set<string>();

  constructor(me: number) {
    this.#me = me;
  }

  of(conversation: number): { messages: Map<string, Omit<Message, "message_id">>; read: string | null } {
    const found = this.conversations.get(conversation) ?? { messages: new Map(), read: null };
    this.conversations.set(conversation, found);
    return found;
  }

  put(conversation: number, { message_id, message, version, sender_id }: Message): void {
    this.of(conversation).messages.set(message_id, { message, version, sender_id });
  }

  /** Takes the next event. */
  apply(event: Event): void {
    expect(event.seq).toBe(this.seq + 1);
    expect(this.#seen.has(event.id), `${event.type} ${event.id} came twice`).toBe(false);
    this.#seen.add(event.id);
    this.seq = event.seq;
    const { messages } = this.of(event.conversation_id);
    if (event.type === "message.deleted") messages.delete(event.message_id);
    else if (event.type === "receipt.read") {
      if (event.user_id === this.#me) this.of(event.conversation_id).read = event.message_id;
    } else if (event.message !== undefined) this.put(event.conversation_id, event as Message);
    // Otherwise it was deleted since: the event that says so comes.
  }

  /** Without conversations that have no message left, which no list has. */
  get plain(): object {
    return Object.fromEntries(
      [...this.conversations]
        .filter(([, { messages }]) => messages.size > 0)
        .map(([id, { messages, read }]) => [id, { read, messages: Object.fromEntries(messages) }]),
    );
  }
}

describe.each(deployments)("following, $name", ({ deploy }) => {
  let deployment: Deployment;

  beforeAll(async () => {
    deployment = await deploy();
  });
  afterAll(() => deployment.close());

  it(
    "ends with what a fresh read gives, from whatever moment, by pull, by stream, and by both in turns",
    { timeout: 120_000 },
    async () => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      let state = seed;
      const pick = (below: number): number => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
        return Math.floor((state / 2 ** 31) * below);
      };
      const url = (): string => deployment.urls[pick(deployment.urls.length)] as string;
      const call = (method: string, path: string, { token }: { token: string }, body?: unknown): Promise<Answer> =>
        http(`${url()}/api/${path}`, { method, body, token });

      const people: (Person & { second: string })[] = [];
      for (let n = 0; n < 3; n += 1) {
        const person = await register(url());
        // With another session, one's inbox has what one sends, too.
        people.push({ ...person, second: (await logIn(url(), person, "http://127.0.0.1:9/")).token });
      }
      const anybody = (): Person => {
        const { second, ...person } = people[pick(people.length)] as Person & { second: string };
        return pick(2) === 0 ? person : { ...person, token: second };
      };

      async function read(person: Person): Promise<View> {
        const view = new View(person.id);
        const list = await call("GET", "conversations?limit=100", person);
        view.seq = list.json["seq"] as number;
        for (const listed of list.json["conversations"] as {
          conversation_id: number;
          read_message_id: string | null;
          unread: number;
        }[]) {
          view.of(listed.conversation_id).read = listed.read_message_id;
        }
        return view;
      }

      /** Reads the list, then each history: what happened between the two is in both, and told again. */
      async function readAll(person: Person): Promise<View> {
        for (;;) {
          const view = await read(person);
          let isWhole = true;
          for (const conversation of view.conversations.keys()) {
            const { json } = await call("GET", `conversations/${conversation}/messages?limit=100&order=oldest`, person);
            for (const message of json["messages"] as Message[]) view.put(conversation, message);
            isWhole &&= json["seq"] === view.seq && json["next_cursor"] === null;
          }
          if (isWhole) return view;
        }
      }

      async function act(): Promise<void> {
        const [by, to] = [anybody(), anybody()];
        const what = pick(10);
        if (what < 5) {
          await send(url(), by, to, `text ${pick(1_000)}`);
          return;
        }
        const view = await read(by);
        const conversation = [...view.conversations.keys()][pick(view.conversations.size)];
        if (conversation === undefined) return;
        const { json } = await call("GET", `conversations/${conversation}/messages?limit=20`, by);
        const messages = json["messages"] as Message[];
        const { message_id: id } = messages[pick(messages.length)] as Message;
        // Somebody else's is refused, or somebody else was first: then nothing happens.
        if (what < 7) await call("PATCH", `messages/${id}`, by, { message: `edit ${pick(1_000)}` });
        else if (what < 8) await call("DELETE", `messages/${id}`, by);
        else await call("POST", `conversations/${conversation}/read`, by, { message_id: id });
      }

      /** Follows until the view has all that there is. */
      async function follow(person: Person, view: View, until: number): Promise<void> {
        while (view.seq < until) {
          if (pick(2) === 0) {
            const { json } = await call("GET", `events?after=${view.seq}&limit=${1 + pick(5)}`, person);
            const events = json["events"] as Event[];
            expect(events.length).toBeGreaterThan(0);
            for (const event of events) view.apply(event);
          } else {
            const wanted = Math.min(until - view.seq, 1 + pick(8));
            const stream = await openEventStream(`${url()}/api/events/stream?after=${view.seq}`, person.token);
            await waitFor(() => stream.arrived.length >= wanted, { what: "events to be streamed" });
            stream.close();
            for (const { data } of stream.arrived) view.apply(data as unknown as Event);
          }
        }
      }

      const views: { person: Person; view: View }[] = people.map((person) => ({ person, view: new View(person.id) }));
      for (let step = 0; step < 150; step += 1) {
        await Promise.all(Array.from({ length: 1 + pick(3) }, act));
        if (pick(10) === 0) {
          const person = anybody();
          views.push({ person, view: await readAll(person) });
        }
      }
      for (const { person, view } of views) {
        const fresh = await readAll(person);
        await follow(person, view, fresh.seq);
        expect(view.plain, `seed ${seed}, user ${person.id}`).toEqual(fresh.plain);
      }

      // What is said to be unread is what others wrote after the marker.
      for (const person of people) {
        const { json } = await call("GET", "conversations?limit=100", person);
        for (const listed of json["conversations"] as {
          conversation_id: number;
          read_message_id: string | null;
          unread: number;
        }[]) {
          const { conversation_id: id, read_message_id: marker, unread } = listed;
          const page = await call("GET", `conversations/${id}/messages?limit=100&order=oldest`, person);
          const messages = page.json["messages"] as Message[];
          const isThere = messages.some(({ message_id }) => message_id === marker);
          if (marker !== null && !isThere) continue; // it was deleted since: where it was cannot be seen here
          const after = messages.slice(messages.findIndex(({ message_id }) => message_id === marker) + 1);
          expect(unread, `seed ${seed}, user ${person.id}`).toBe(after.filter(({ sender_id }) => sender_id !== person.id).length);
        }
      }
    },
  );
});
