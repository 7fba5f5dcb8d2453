import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** How the receiver behaves for a while: well, or as receivers do that are broken, or lie. */
export const MOODS = [
  "well",
  "answers and closes",
  "slow loris",
  "endless body",
  "hangs",
  "resets",
  "fails",
  "slow",
  "very slow",
] as const;
type Mood = (typeof MOODS)[number];

export interface Receiver {
  readonly url: string;
  mood: Mood;
  /** Ids of the events that it took. */
  readonly taken: ReadonlySet<string>;
  /** What it took once more. */
  readonly repeats: number;
  /**
   * First arrivals that came after one with a higher `seq` at the same address, of those that `counts`: none,
   * or something is wrong. What a database that came back older lost does not count: its numbers are given
   * out again.
   */
  findDisorder(counts: (id: string) => boolean): string[];
  /** Pushes to an address that began while another one to it was under way, and when, by the monotonic clock. */
  readonly overlaps: readonly { at: number; what: string }[];
  close(): Promise<void>;
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Takes pushes to any path, each path an address of its own, and notes what comes. */
export async function startReceiver(): Promise<Receiver> {
  const taken = new Set<string>();
  const arrivals = new Map<string, { id: string; seq: number }[]>();
  const overlaps: { at: number; what: string }[] = [];
  const underWay = new Map<string, number>();
  let repeats = 0;
  let mood: Mood = "well";

  /** From the moment when it says so to the sender. */
  function take(path: string, id: string, seq: number): void {
    const key = `${path} ${id}`;
    if (taken.has(key)) {
      repeats += 1;
      return;
    }
    taken.add(key);
    taken.add(id);
    const before = arrivals.get(path) ?? [];
    before.push({ id, seq });
    arrivals.set(path, before);
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const now = mood;
    const { seq } = JSON.parse(await read(request)) as { seq: number };
    const accept = (): void => take(request.url ?? "", String(request.headers["webhook-id"]), seq);
    const socket = response.socket;
    switch (now) {
      case "well":
        accept();
        response.writeHead(204).end();
        return;
      case "slow":
        await sleep(500);
        accept();
        response.writeHead(204).end();
        return;
      case "very slow":
        await sleep(2_000 + Math.random() * 7_000);
        accept();
        response.writeHead(204).end();
        return;
      case "answers and closes":
        accept();
        socket?.end("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot all of it");
        return;
      case "endless body":
        accept();
        response.writeHead(200);
        while (!response.destroyed && !response.closed) {
          response.write("x".repeat(8_192));
          await sleep(2);
        }
        return;
      case "slow loris":
        for (const character of "HTTP/1.1 204 No Content\r\nServer: very slow\r\n") {
          if (socket?.destroyed === true) return;
          socket?.write(character);
          await sleep(400);
        }
        return;
      case "fails":
        response.writeHead(503).end();
        return;
      case "resets":
        socket?.resetAndDestroy();
        return;
      case "hangs":
    }
  }

  const server = createServer((request, response) => {
    const path = request.url ?? "";
    const others = underWay.get(path) ?? 0;
    if (others > 0) overlaps.push({ at: performance.now(), what: `${path} beside ${others}` });
    underWay.set(path, others + 1);
    response.once("close", () => underWay.set(path, (underWay.get(path) ?? 1) - 1));
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get mood() {
      return mood;
    },
    set mood(value) {
      mood = value;
    },
    taken,
    get repeats() {
      return repeats;
    },
    findDisorder(counts) {
      const found: string[] = [];
      for (const [path, all] of arrivals) {
        let before = 0;
        for (const { seq } of all.filter(({ id }) => counts(id))) {
          if (seq <= before) found.push(`${path} got ${seq} after ${before}`);
          before = Math.max(before, seq);
        }
      }
      return found;
    },
    overlaps,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
