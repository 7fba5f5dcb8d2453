import { http, messageBody, type Person } from "@messenger/testkit";

export interface Load {
  /** Ids of the messages that were answered 200. */
  readonly answered: ReadonlySet<string>;
  /** How many requests got another answer, or none. */
  readonly failed: number;
  /** Resolves when all are sent. */
  readonly done: Promise<void>;
}

/**
 * Sends every message of a list, so many at a time, to the listeners in turn. What fails is not sent again:
 * only what was answered 200 must arrive.
 */
export function startLoad(options: {
  /** Read before each request: a listener may come and go. */
  urls(): readonly string[];
  messages: readonly { from: Person; to: Person; text: string }[];
  concurrency: number;
}): Load {
  const answered = new Set<string>();
  let failed = 0;
  let next = 0;

  async function client(): Promise<void> {
    while (next < options.messages.length) {
      const n = next;
      next += 1;
      const { from, to, text } = options.messages[n] as (typeof options.messages)[number];
      const urls = options.urls();
      try {
        const url = `${urls[n % urls.length]}/api/messages/`;
        const answer = await http(url, { body: messageBody(from, to, text), token: from.token, accept: "application/json" });
        if (answer.status === 200) answered.add(answer.json["message_id"] as string);
        else failed += 1;
      } catch {
        failed += 1; // the listener was killed
      }
    }
  }

  const done = Promise.all(Array.from({ length: options.concurrency }, client)).then(() => undefined);
  return {
    answered,
    get failed() {
      return failed;
    },
    done,
  };
}
