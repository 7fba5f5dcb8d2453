import { type Answer, http, logIn, openEventStream, type Person, register, send, waitFor } from "@messenger/testkit";
import { expect } from "vitest";

interface Message {
  message_id: string;
  message: string;
  version: number;
  sender_id: number;
  reply_to?: string | undefined;
  reactions: { emoji: string; count: number; mine: boolean }[];
}

interface Preferences {
  muted: boolean;
  archived: boolean;
  pinned: boolean;
}

interface Listed {
  conversation_id: number;
  kind: "direct" | "group";
  group: { title: string; role: string; members: number } | null;
  read_message_id: string | null;
  unread: number;
  preferences: Preferences;
}

interface Event extends Partial<Omit<Message, "reactions">>, Partial<NonNullable<Listed["group"]>> {
  seq: number;
  type: string;
  id: string;
  conversation_id: number;
  message_id: string;
  user_id?: number;
  by_user_id?: number;
  emoji?: string;
  owner_id?: number;
  preferences?: Preferences;
}

interface Shown {
  group: Listed["group"];
  read: string | null;
  preferences: Preferences;
  messages: Map<string, Omit<Message, "message_id">>;
}

const NO_PREFERENCES = { muted: false, archived: false, pinned: false };

/** What a client shows of its conversations. */
class View {
  readonly conversations = new Map<number, Shown>();
  /** That no list had when this began, and that are heard of now: how far one has read them was said before. */
  readonly unlisted = new Set<number>();
  seq = 0;
  #beganAt = 0;
  readonly #me: number;
  readonly #seen = new Set<string>();

  constructor(me: number) {
    this.#me = me;
  }

  of(conversation: number): Shown {
    const found = this.conversations.get(conversation);
    if (found !== undefined) return found;
    const made = {
      group: null,
      read: null,
      preferences: NO_PREFERENCES,
      messages: new Map<string, Omit<Message, "message_id">>(),
    };
    this.conversations.set(conversation, made);
    return made;
  }

  /** Goes on from a list. */
  beginAt(seq: number): void {
    this.seq = seq;
    this.#beganAt = seq;
  }

  put(conversation: number, { message_id, message, version, sender_id, reply_to, reactions }: Message): void {
    this.of(conversation).messages.set(message_id, { message, version, sender_id, reply_to, reactions });
  }

  /** Takes the next event. */
  apply(event: Event): void {
    expect(event.seq).toBe(this.seq + 1);
    expect(this.#seen.has(event.id), `${event.type} ${event.id} came twice`).toBe(false);
    this.#seen.add(event.id);
    this.seq = event.seq;
    const { type, conversation_id: conversation, message_id: id, message, user_id: user } = event;
    if (this.#beganAt > 0 && !this.conversations.has(conversation)) this.unlisted.add(conversation);
    if (type === "member.added" || type === "conversation.created") this.#join(event);
    else if (type === "member.left" || type === "member.removed") this.#leave(event);
    else if (type.startsWith("message.")) {
      if (type === "message.deleted") this.of(conversation).messages.delete(id);
      else if (message !== undefined) {
        const reactions = this.of(conversation).messages.get(id)?.reactions ?? [];
        this.put(conversation, { ...(event as unknown as Message), reactions });
      } // Otherwise it was deleted since: the event that says so comes.
    } else if (type.startsWith("reaction.")) this.#react(event);
    else {
      const shown = this.of(conversation);
      if (type === "receipt.read" && user === this.#me) shown.read = id;
      if (type === "preferences.changed") shown.preferences = event.preferences as Preferences;
      if (type === "conversation.changed") Object.assign(shown.group as object, { title: event.title });
      if (type === "member.changed" && user === this.#me) Object.assign(shown.group as object, { role: event.role });
    }
  }

  #join({ conversation_id, type, user_id, by_user_id, title = "", members = 0 }: Event): void {
    const shown = this.of(conversation_id);
    if (type === "conversation.created") shown.group = { title, members, role: by_user_id === this.#me ? "owner" : "member" };
    else if (user_id === this.#me) shown.group = { title, members, role: "member" };
    else Object.assign(shown.group as object, { members });
  }

  #leave({ conversation_id, user_id, owner_id, members }: Event): void {
    if (user_id === this.#me) this.conversations.delete(conversation_id);
    else Object.assign(this.of(conversation_id).group as object, { members, ...(owner_id === this.#me && { role: "owner" }) });
  }

  #react({ conversation_id, message_id, type, emoji = "", user_id }: Event): void {
    const message = this.of(conversation_id).messages.get(message_id);
    if (message === undefined) return; // it was deleted since
    const isAdded = type === "reaction.added";
    const before = message.reactions.find((kind) => kind.emoji === emoji) ?? { emoji, count: 0, mine: false };
    const count = before.count + (isAdded ? 1 : -1);
    const others = message.reactions.filter((kind) => kind.emoji !== emoji);
    const mine = user_id === this.#me ? isAdded : before.mine;
    message.reactions = count === 0 ? others : [...others, { emoji, count, mine }];
  }

  /** Without direct conversations that have no message left, which no list has; reactions in one order. */
  get plain(): object {
    const plainOf = ({ messages, ...shown }: Shown): object => ({
      ...shown,
      messages: Object.fromEntries(
        [...messages].map(([id, { reactions, ...message }]) => [
          id,
          { ...message, reactions: [...reactions].sort((a, b) => (a.emoji < b.emoji ? -1 : 1)) },
        ]),
      ),
    });
    return Object.fromEntries(
      [...this.conversations]
        .filter(([, { group, messages }]) => group !== null || messages.size > 0)
        .map(([id, shown]) => [id, plainOf(shown)]),
    );
  }
}

const EMOJI = ["👍", "🎉", "🏳️‍🌈"];

/**
 * Random operations of all kinds by several users with two sessions each, some at the same time, asked of any
 * listener. Clients that began to follow at any moment, and go on by pull, by stream, and by both in turns,
 * must end with what a fresh read gives. `meanwhile` is called in between; requests that nobody answered may
 * have been done or not.
 */
export async function followEverything({
  urls,
  steps,
  meanwhile,
}: {
  urls: () => readonly string[];
  steps: number;
  meanwhile?: (step: number) => Promise<void>;
}): Promise<void> {
  const seed = Math.floor(Math.random() * 2 ** 31);
  let state = seed;
  const pick = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return Math.floor((state / 2 ** 31) * below);
  };
  const oneOf = <Item>(items: readonly Item[]): Item | undefined => items[pick(items.length)];
  const url = (): string => oneOf(urls()) as string;
  /** From whoever answers. */
  const ask = async (path: string, { token }: { token: string }): Promise<Answer> =>
    waitFor(
      async () => {
        const answer = await http(`${url()}/api/${path}`, { token }).catch(() => undefined);
        return answer?.status === 503 ? undefined : answer;
      },
      { what: `an answer to ${path}` },
    );
  const tell = (method: string, path: string, { token }: { token: string }, body?: unknown): Promise<unknown> =>
    http(`${url()}/api/${path}`, { method, body, token }).catch(() => undefined);

  const people: (Person & { second: string })[] = [];
  for (let n = 0; n < 4; n += 1) {
    const person = await register(url());
    // With another session, one's inbox has what one sends, too.
    people.push({ ...person, second: (await logIn(url(), person, "http://127.0.0.1:9/")).token });
  }
  const anybody = (): Person => {
    const { second, ...person } = oneOf(people) as Person & { second: string };
    return pick(2) === 0 ? person : { ...person, token: second };
  };

  async function list(person: Person): Promise<{ conversations: Listed[]; seq: number }> {
    const { json } = await ask("conversations?limit=100", person);
    return json as unknown as { conversations: Listed[]; seq: number };
  }

  /** Reads the list, then each history, again where something happened between the two. */
  async function readAll(person: Person): Promise<View> {
    for (;;) {
      const view = new View(person.id);
      const { conversations, seq } = await list(person);
      view.beginAt(seq);
      let isWhole = true;
      for (const { conversation_id: id, group, read_message_id: read, preferences } of conversations) {
        Object.assign(view.of(id), { group, read, preferences });
        for (let cursor = ""; ;) {
          const { json } = await ask(`conversations/${id}/messages?limit=100&order=oldest${cursor}`, person);
          for (const message of (json["messages"] ?? []) as Message[]) view.put(id, message);
          isWhole &&= json["seq"] === seq;
          if (typeof json["next_cursor"] !== "string") break;
          cursor = `&cursor=${json["next_cursor"]}`;
        }
      }
      if (isWhole) return view;
    }
  }

  /** What is refused changes nothing: somebody else was first, or it is not one's to do. */
  async function act(): Promise<unknown> {
    const [by, to] = [anybody(), anybody()];
    const what = pick(20);
    if (what < 5) return send(url(), by, to, `text ${pick(1_000)}`).catch(() => undefined);
    const { conversations } = await list(by);
    const groups = conversations.filter(({ kind }) => kind === "group");
    if (what === 5 && groups.length < 3) {
      return tell("POST", "conversations", by, { title: `group ${pick(100)}`, member_ids: to.id === by.id ? [] : [to.id] });
    }
    const group = `conversations/${oneOf(groups)?.conversation_id ?? 0}`;
    switch (what) {
      case 6:
      case 7:
        return tell("POST", `${group}/members`, by, { user_id: to.id });
      case 8:
        return tell("DELETE", `${group}/members/${to.id}`, by);
      case 9:
        return tell("PATCH", `${group}/members/${to.id}`, by, { role: oneOf(["owner", "admin", "member"]) });
      case 10:
        return tell("PATCH", group, by, { title: `title ${pick(100)}` });
      case 11:
        await tell("PUT", `${group}/bans/${to.id}`, by);
        return tell("DELETE", `${group}/bans/${to.id}`, by);
      default:
    }
    const conversation = `conversations/${oneOf(conversations)?.conversation_id ?? 0}`;
    if (what === 12) return tell("PATCH", `${conversation}/preferences`, by, { muted: pick(2) === 0, pinned: pick(2) === 0 });
    const { json } = await ask(`${conversation}/messages?limit=20`, by);
    const id = oneOf((json["messages"] ?? []) as Message[])?.message_id;
    if (id === undefined || what < 15) {
      const reply = id === undefined || pick(2) === 0 ? undefined : { reply_to: id };
      return tell("POST", `${conversation}/messages`, by, { message: `to all ${pick(1_000)}`, ...reply });
    }
    const reaction = `messages/${id}/reactions/${encodeURIComponent(oneOf(EMOJI) as string)}`;
    if (what === 15) return tell("PATCH", `messages/${id}`, by, { message: `edit ${pick(1_000)}` });
    if (what === 16) return tell("DELETE", `messages/${id}`, by);
    if (what === 17) return tell("PUT", reaction, by);
    if (what === 18) return tell("DELETE", reaction, by);
    return tell("POST", `${conversation}/read`, by, { message_id: id });
  }

  /** Follows until the view has all that there is. */
  async function follow(person: Person, view: View, until: number): Promise<void> {
    while (view.seq < until) {
      if (pick(2) === 0) {
        const { json } = await ask(`events?after=${view.seq}&limit=${1 + pick(5)}`, person);
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
    for (const id of view.unlisted) {
      const { json } = await ask(`conversations/${id}`, person);
      const { read_message_id: read, preferences } = (json["conversation"] ?? {}) as Partial<Listed>;
      if (view.conversations.has(id)) Object.assign(view.of(id), { read, preferences });
    }
  }

  const views: { person: Person; view: View }[] = people.map((person) => ({ person, view: new View(person.id) }));
  for (let step = 0; step < steps; step += 1) {
    await meanwhile?.(step);
    await Promise.all(Array.from({ length: 1 + pick(3) }, act));
    if (pick(10) === 0) {
      const person = anybody();
      views.push({ person, view: await readAll(person) });
    }
  }
  let followed = 0;
  for (const { person, view } of views) {
    const fresh = await readAll(person);
    followed += fresh.seq - view.seq;
    await follow(person, view, fresh.seq);
    expect(view.plain, `seed ${seed}, user ${person.id}`).toEqual(fresh.plain);
  }
  expect(followed).toBeGreaterThan(steps);

  // What is said to be unread is what others wrote after the marker.
  for (const person of people) {
    const fresh = await readAll(person);
    for (const { conversation_id: id, read_message_id: marker, unread } of (await list(person)).conversations) {
      const messages = [...fresh.of(id).messages];
      const isThere = messages.some(([message]) => message === marker);
      if (marker !== null && !isThere) continue; // it was deleted since: where it was cannot be seen here
      const after = messages.slice(messages.findIndex(([message]) => message === marker) + 1);
      const ofOthers = after.filter(([, { sender_id }]) => sender_id !== person.id).length;
      expect(unread, `seed ${seed}, user ${person.id}`).toBe(Math.min(ofOthers, 100));
    }
  }
}
