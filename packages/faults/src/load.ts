import { randomBytes } from "node:crypto";

interface Person {
  id: number;
  name: string;
  token: string;
}

export interface Load {
  /** Ids of the messages that were answered 200. */
  readonly answered: ReadonlySet<string>;
  /** Requests that got another answer, or none. */
  readonly failed: number;
  /** How many got which answer: its status, or "no answer". */
  readonly reasons: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

const PASSWORD = "correct horse battery";
const TIMEOUT_MS = 20_000;

/** An answer that is not of the 200s. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(`${status} ${detail}`);
    this.status = status;
  }
}

async function post(url: string, body: object, token?: string): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Refused(response.status, String(answer["detail"]));
  return answer;
}

/** Makes people who receive what they are sent, each at an address of their own. */
export async function makePeople(url: string, receiverUrl: string, count: number): Promise<Person[]> {
  const people: Person[] = [];
  for (let n = 0; n < count; n += 1) {
    const name = `p${randomBytes(6).toString("hex")}`;
    const { user_id: id } = await post(`${url}/api/users/`, { username: name, phone_number: name, password: PASSWORD });
    const address = `${receiverUrl}/${name}`;
    const login = { username: name, password: PASSWORD, user_address: address, public_key: "none" };
    const { token } = await post(`${url}/api/login/`, login);
    people.push({ id: id as number, name, token: token as string });
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

  function send(): void {
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
    const body = {
      message: `${text} ${n}`,
      sender_id: from.id,
      sender_username: from.name,
      receiver_id: to.id,
      send_date: "2026-01-02 03:04:05",
    };
    const request = post(`${url}/api/messages/`, body, from.token)
      .then(
        ({ message_id: id }) => {
          answered.add(id as string);
          count("200");
        },
        (error: unknown) => {
          failed += 1;
          count(error instanceof Refused ? String(error.status) : "no answer");
        },
      )
      .finally(() => underway.delete(request));
    underway.add(request);
  }

  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) * perSecond) / 1000;
    while (sent < due) send();
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
