import { createAddressGuard, createPoster } from "@messenger/channels";
import { systemClock } from "@messenger/core";

/** What a job of a peer holds: the same body that Messenger pushes, and where to. */
export interface PushJob {
  url: string;
  id: string;
  body: string;
}

// The same that Messenger's senders push with, so that the queue is what differs; but nothing is signed.
const poster = createPoster({ guard: createAddressGuard({ allowCidrs: ["127.0.0.0/8"] }), clock: systemClock });
const urls = new Map<string, URL>();

/** Pushes by HTTP, as a job of a queue usually does. @throws where it is not taken. */
export async function push({ url, id, body }: PushJob): Promise<void> {
  const { origin, pathname: path } = urls.get(url) ?? new URL(url);
  if (!urls.has(url)) urls.set(url, new URL(url));
  const headers = { "content-type": "application/json", "webhook-id": id };
  const answer = await poster.post({ origin, path, headers, body: Buffer.from(body), timeoutMs: 15_000 });
  if (answer.status === undefined || answer.status >= 300) throw new Error(`not taken: ${JSON.stringify(answer)}`);
}

export const env = (name: string): string => process.env[name] ?? "";
/** Pushes in flight, as many as Messenger's sender has. */
export const CONCURRENCY = 256;
