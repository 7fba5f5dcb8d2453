import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const OPENED_AT_ONCE = 100;
const MESSAGE_ID = /"message_id":"([0-9a-f-]{36})"/gu;
/** An id can be cut in two by the end of a part. */
const KEPT = 100;

export interface OpenStreams {
  /** When each message arrived: by `performance.now()`. */
  readonly arrivals: ReadonlyMap<string, number>;
  close(): void;
}

/**
 * Opens streams, each by the request that `requestOf` gives, and reads all of them but the first `stalled`.
 * @throws where one is refused
 */
export async function openStreams(
  count: number,
  requestOf: (n: number) => { url: string; headers?: Record<string, string> },
  stalled = 0,
): Promise<OpenStreams> {
  const arrivals = new Map<string, number>();
  const open: IncomingMessage[] = [];

  function read(stream: IncomingMessage): void {
    stream.setEncoding("latin1");
    let rest = "";
    stream.on("data", (part: string) => {
      const text = rest + part;
      for (const [, id] of text.matchAll(MESSAGE_ID))
        if (!arrivals.has(id as string)) arrivals.set(id as string, performance.now());
      rest = text.slice(-KEPT);
    });
  }

  async function openOne(n: number): Promise<void> {
    const { url, headers = {} } = requestOf(n);
    const outgoing = request(url, { agent: false, headers });
    outgoing.end();
    const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
    if (incoming.statusCode !== 200) throw new Error(`a stream was answered ${incoming.statusCode}`);
    incoming.on("error", () => undefined); // it was cut off
    open.push(incoming);
    if (n >= stalled) read(incoming);
  }

  for (let n = 0; n < count; n += OPENED_AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(OPENED_AT_ONCE, count - n) }, (_, m) => openOne(n + m)));
  }
  return {
    arrivals,
    close() {
      for (const stream of open) stream.destroy();
    },
  };
}

/**
 * Sends so many a second, whatever the answers do; `send` returns the message's id. Returns when each was
 * answered: by `performance.now()`.
 */
export async function sendSteadily(
  perSecond: number,
  seconds: number,
  send: (n: number) => Promise<string>,
): Promise<ReadonlyMap<string, number>> {
  const answered = new Map<string, number>();
  const underWay: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let n = 0; n < perSecond * seconds; n += 1) {
    const dueAt = startedAt + (n * 1000) / perSecond;
    if (dueAt > performance.now()) await sleep(dueAt - performance.now());
    underWay.push(send(n).then((id) => void answered.set(id, performance.now())));
  }
  await Promise.all(underWay);
  return answered;
}
