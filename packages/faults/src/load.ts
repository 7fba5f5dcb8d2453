import type { Chance } from "@messenger/simulation";
import { logIn, type Person, register, send } from "@messenger/testkit";

export interface Load {
  /** Ids of the messages that were answered 200. */
  readonly answered: ReadonlySet<string>;
  /** Requests that got another answer, or none. */
  readonly failed: number;
  /** How many got which answer: its status, or "no answer". */
  readonly reasons: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** Makes people who receive what they are sent, each at an address of their own. */
export async function makePeople(url: string, receiverUrl: string, count: number): Promise<Person[]> {
  const people: Person[] = [];
  for (let n = 0; n < count; n += 1) {
    const person = await register(url);
    const { token } = await logIn(url, person, `${receiverUrl}/${person.name}`);
    people.push({ ...person, token });
  }
  return people;
}

/** Every second message goes to one of so few. */
const POPULAR = 3;

/**
 * Sends messages at a steady rate, from anybody to anybody by any listener, half of them to a few; whatever becomes of them. What fails is not sent
 * again.
 */
export function startLoad(options: {
  chance: Chance;
  urls(): readonly string[];
  people: readonly Person[];
  perSecond: number;
  text?: string;
}): Load {
  const { chance, people, perSecond, text = "message" } = options;
  const answered = new Set<string>();
  const underway = new Set<Promise<void>>();
  const reasons = new Map<string, number>();
  let failed = 0;
  let sent = 0;
  const startedAt = performance.now();

  function count(reason: string): void {
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }

  function sendNext(): void {
    const n = sent;
    sent += 1;
    const urls = options.urls();
    if (urls.length === 0) {
      failed += 1;
      return;
    }
    const [from, url] = [chance.pick(people), chance.pick(urls)];
    const to = chance.pick(chance.happens(0.5) ? people.slice(0, POPULAR) : people);
    const request = send(url, from, to, `${text} ${n}`)
      .then(
        ({ status, json }) => {
          count(String(status));
          if (status === 200) answered.add(json["message_id"] as string);
          else failed += 1;
        },
        () => {
          count("no answer");
          failed += 1;
        },
      )
      .finally(() => underway.delete(request));
    underway.add(request);
  }

  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) * perSecond) / 1000;
    while (sent < due) sendNext();
  }, 5);

  return {
    answered,
    reasons,
    get failed() {
      return failed;
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(underway);
    },
  };
}
