import { setTimeout as sleep } from "node:timers/promises";
import { http, messageBody, PASSWORD, type Person, readUsage, forgetPeaks, register } from "@messenger/testkit";
import { deploy } from "../deployment.ts";
import { steadily } from "../load/steadily.ts";
import { medianOf, percentileOf, type Sample } from "../measurements.ts";
import { signIn } from "../people.ts";
import type { Bench, Scenario } from "../scenario.ts";

const PEOPLE = 40;
const GROUP = 20;
const PER_SECOND = 100;
const SECONDS = 600;
const QUICK_SECONDS = 60;
const LOOK_EVERY_MS = 5_000;
/** The most that a process holds in the last third of the time, over the third before. */
const FLAT = 1.1;

interface World {
  url: string;
  people: readonly Person[];
  group: number;
  hook: string;
  /** Messages that were sent lately, with who sent them: to edit, delete and read. */
  sent: { id: string; by: Person }[];
}

/** One request, of a kind; it throws where the answer is none that it may get. */
type Ask = (world: World, by: Person, other: Person) => Promise<void>;

async function call(
  world: World,
  method: string,
  path: string,
  by: Person | null,
  body?: unknown,
  allowed: readonly number[] = [],
) {
  const answer = await http(`${world.url}${path}`, { method, body, accept: "application/json", ...(by && { token: by.token }) });
  if (answer.status >= 300 && !allowed.includes(answer.status))
    throw new Error(`${method} ${path.replaceAll(/\d+/gu, "n")}: ${answer.status}`);
  return answer;
}
const get =
  (path: string, allowed?: readonly number[]): Ask =>
  async (world, by) =>
    void (await call(world, "GET", path, by, undefined, allowed));
const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(Math.random() * items.length)] as Item;
const GONE = [404];

const send: Ask = async (world, by, other) => {
  const { json } = await call(
    world,
    "POST",
    "/api/messages/",
    by,
    messageBody(by, other, "a message of some length, as people write them"),
  );
  world.sent.push({ id: json["message_id"] as string, by });
  if (world.sent.length > 500) world.sent.shift();
};
const ofMessage =
  (method: string, path: string, body?: unknown): Ask =>
  async (world) => {
    if (world.sent.length === 0) return;
    const { id, by } = pick(world.sent);
    await call(world, method, `/api/messages/${id}${path}`, by, body, GONE);
  };

/** What people and programs do, each as often as it is in the list. */
const KINDS: Readonly<Record<string, { times: number; ask: Ask }>> = {
  send: { times: 30, ask: send },
  "send to a group": {
    times: 5,
    ask: async (world, by) =>
      void (await call(world, "POST", `/api/conversations/${world.group}/messages/`, pick(world.people.slice(0, GROUP)), {
        message: `from ${by.name}`,
      })),
  },
  "post to a hook": {
    times: 2,
    ask: async (world) => void (await call(world, "POST", world.hook, null, { text: "by a program" })),
  },
  edit: { times: 4, ask: ofMessage("PATCH", "/", { message: "another text" }) },
  react: { times: 3, ask: ofMessage("PUT", `/reactions/${encodeURIComponent("👍")}/`) },
  delete: { times: 1, ask: ofMessage("DELETE", "/") },
  versions: { times: 2, ask: ofMessage("GET", "/versions/") },
  deliveries: { times: 2, ask: ofMessage("GET", "/deliveries/") },
  conversations: { times: 8, ask: get("/api/conversations/") },
  messages: { times: 4, ask: get("/api/messages/?limit=20") },
  events: { times: 8, ask: get("/api/events/?after=0&limit=20") },
  search: { times: 3, ask: get("/api/users/?q=u-0") },
  account: { times: 3, ask: get("/api/users/me/") },
  sessions: { times: 1, ask: get("/api/sessions/") },
  endpoints: { times: 2, ask: get("/api/endpoints/") },
  contacts: { times: 1, ask: get("/api/contacts/") },
  tokens: { times: 1, ask: get("/api/tokens/") },
  description: { times: 1, ask: get("/api/openapi.json") },
  typing: {
    times: 3,
    ask: async (world) =>
      void (await call(world, "POST", `/api/conversations/${world.group}/typing/`, pick(world.people.slice(0, GROUP)))),
  },
  block: {
    times: 1,
    ask: async (world, by, other) => {
      await call(world, "PUT", `/api/users/${other.id}/block/`, by);
      await call(world, "DELETE", `/api/users/${other.id}/block/`, by);
    },
  },
  export: { times: 1, ask: get("/api/users/me/export/", [503]) },
  "what is refused": {
    times: 6,
    ask: async (world, by) => {
      await call(world, "GET", `/api/messages/${crypto.randomUUID()}/`, by, undefined, GONE);
      await call(world, "GET", "/api/users/me/", { ...by, token: "none" }, undefined, [401]);
      await call(world, "POST", "/api/messages/", by, { message: 7 }, [400]);
    },
  },
  "sign up and go": {
    times: 1,
    ask: async (world) => {
      const one = await register(world.url);
      await call(world, "DELETE", "/api/users/me/", one, { password: PASSWORD });
    },
  },
};
const CHOICES = Object.values(KINDS).flatMap(({ times, ask }) => Array.from({ length: times }, () => ask));

async function measure(bench: Bench): Promise<readonly Sample[]> {
  const deployment = await deploy(bench);
  try {
    const receiver = await bench.servers.receiver();
    const { url, process: listener } = await deployment.startListener();
    const sender = await deployment.startSender();
    const people = await signIn(url, PEOPLE, (n) => receiver.addressOf(n));
    const [owner, ...others] = people as [Person, ...Person[]];
    const bare: World = { url, people, group: 0, hook: "", sent: [] };
    const made = await call(bare, "POST", "/api/conversations/", owner, {
      title: "Soak",
      member_ids: others.slice(0, GROUP - 1).map(({ id }) => id),
    });
    const { conversation_id: group } = made.json["conversation"] as { conversation_id: number };
    const hook = await call(bare, "POST", `/api/conversations/${group}/hooks/`, owner, { name: "soak" });
    const world = { ...bare, group, hook: new URL(hook.json["url"] as string, url).pathname };

    const processes = { "the listener": listener.pid, "the sender": sender.pid };
    const peaks = new Map<string, number[]>(Object.keys(processes).map((name) => [name, []]));
    const over = new AbortController();
    const looking = (async () => {
      while (!over.signal.aborted) {
        for (const pid of Object.values(processes)) await forgetPeaks(pid);
        await sleep(LOOK_EVERY_MS, undefined, { signal: over.signal }).catch(() => undefined);
        for (const [name, pid] of Object.entries(processes)) peaks.get(name)?.push((await readUsage(pid)).peakBytes / 1e6);
      }
    })();
    const seconds = bench.quick ? QUICK_SECONDS : SECONDS;
    const { asked, took, failures } = await steadily({
      perSecond: PER_SECOND,
      seconds,
      ask: (n) => pick(CHOICES)(world, people[n % PEOPLE] as Person, people[(n + 1 + (n % (PEOPLE - 1))) % PEOPLE] as Person),
    });
    over.abort();
    await looking;
    if (failures.size > 0) bench.note(`Failed: ${Array.from(failures, ([what, count]) => `${count} × ${what}`).join(", ")}.`);
    const samples: Sample[] = [
      { metric: "failed requests", unit: "", value: asked - took.length },
      { metric: "p99 of all kinds of requests", unit: "ms", value: percentileOf(took, 0.99) },
    ];
    for (const [name, held] of peaks) {
      const third = Math.floor(held.length / 3);
      const [before, last] = [medianOf(held.slice(third, 2 * third)), medianOf(held.slice(2 * third))];
      const ratio = last / before;
      bench.note(
        `Memory of ${name} in the last third of ${seconds} s: ${last.toFixed(0)} MB, ${ratio.toFixed(2)} × that of the third before: ${ratio <= FLAT ? "flat" : "not flat"}.`,
      );
      samples.push({ metric: `memory of ${name}, the last third over the one before`, unit: "×", value: ratio });
      samples.push({ metric: `memory of ${name}, at most`, unit: "MB", value: Math.max(...held) });
    }
    return samples;
  } finally {
    await deployment.close();
  }
}

export const soak: Scenario = {
  name: "soak",
  about: `All kinds of requests at once, ${PER_SECOND}/s for ${SECONDS / 60} minutes (one in a quick run), from ${PEOPLE} people at one listener and one sender: whether their memory stays flat. Only what a request is answered that it must not be counts as failed.`,
  async run(bench) {
    await bench.inTurns("soak", [{ name: "Messenger", run: () => measure(bench) }], { rounds: 1 });
  },
};
