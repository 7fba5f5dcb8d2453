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

/** Sends messages at a steady rate, from everybody to everybody, whatever becomes of them; what fails is not sent again. */
export function startLoad(options: {
  urls(): readonly string[];
  people: readonly Person[];
  perSecond: number;
  text?: string;
}): Load {
  const { people, perSecond, text = "message" } = options;
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
    const from = people[n % people.length] as Person;
    const to = people[(n * 7 + 1) % people.length] as Person;
    const urls = options.urls();
    const url = urls[n % urls.length];
    if (url === undefined) {
      failed += 1;
      return;
    }
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
