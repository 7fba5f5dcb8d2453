import { type Person, send } from "./people.ts";

export interface SteadyLoad {
  /** Ids of the messages that were answered 200. */
  readonly answered: ReadonlySet<string>;
  /** Requests that got another answer, or none. */
  readonly failed: number;
  /** How many got which answer: its status, or "no answer". */
  readonly reasons: ReadonlyMap<string, number>;
  /** Sends no more; resolves when all that was sent is answered. */
  stop(): Promise<void>;
}

/** A message to send. */
export interface Sending {
  /** Of a listener, or of what is in front of them. */
  url: string;
  from: Person;
  to: Person;
}

/**
 * Sends messages at a steady rate, whatever becomes of those before, but no more than `maxUnderway` at a
 * time: on a machine that is too slow for the rate they come less often, and do not pile up. What fails is
 * not sent again. `next` says what to send; undefined where there is nobody to send it to, which counts as a
 * failure.
 */
export function startSteadyLoad(options: {
  perSecond: number;
  maxUnderway?: number;
  text?: string;
  next(): Sending | undefined;
}): SteadyLoad {
  const { perSecond, maxUnderway = Number.POSITIVE_INFINITY, text = "message" } = options;
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
    if (underway.size >= maxUnderway) return;
    const sending = options.next();
    if (sending === undefined) {
      failed += 1;
      return;
    }
    const request = send(sending.url, sending.from, sending.to, `${text} ${n}`)
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
