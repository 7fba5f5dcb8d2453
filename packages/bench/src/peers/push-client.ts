import { Agent } from "undici";

/** What a job of a peer holds: the same body that Messenger pushes, and where to. */
export interface PushJob {
  url: string;
  id: string;
  body: string;
}

// As Messenger's webhook channel has it, so that the queue is what differs.
const agent = new Agent({ connections: 32, pipelining: 1, allowH2: false, keepAliveTimeout: 30_000 });

/** Pushes by HTTP, as a job of a queue usually does. @throws where it is not taken. */
export async function push({ url, id, body }: PushJob): Promise<void> {
  const { origin, pathname } = new URL(url);
  const response = await agent.request({
    origin,
    path: pathname,
    method: "POST",
    headers: { "content-type": "application/json", "webhook-id": id },
    body,
  });
  await response.body.dump();
  if (response.statusCode >= 300) throw new Error(`answered ${response.statusCode}`);
}

export const env = (name: string): string => process.env[name] ?? "";
/** Pushes in flight, as many as Messenger's sender has. */
export const CONCURRENCY = 256;
