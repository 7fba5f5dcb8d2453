import { createAddressGuard, createWebhookChannel, type Target } from "@messenger/channels";
import { systemClock } from "@messenger/core";

/** What a job of a peer holds: the same body that Messenger pushes, and where to. */
export interface PushJob {
  url: string;
  id: string;
  body: string;
}

// The same that Messenger's senders push with, so that the queue is what differs; but nothing is signed.
const channel = createWebhookChannel({ guard: createAddressGuard({ allowCidrs: ["127.0.0.0/8"] }), clock: systemClock });
const targets = new Map<string, Target>();

/** Pushes by HTTP, as a job of a queue usually does. @throws where it is not taken. */
export async function push({ url, id, body }: PushJob): Promise<void> {
  const target = targets.get(url) ?? channel.prepare(url);
  targets.set(url, target);
  const result = await channel.push({ target, id, body: Buffer.from(body), secrets: [] });
  if (result.kind !== "answered" || result.status >= 300) throw new Error(`not taken: ${JSON.stringify(result)}`);
}

export const env = (name: string): string => process.env[name] ?? "";
/** Pushes in flight, as many as Messenger's sender has. */
export const CONCURRENCY = 256;
