import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

/** A push as it came. */
export interface Arrival {
  id: string;
  seq: number;
  /** By `performance.now()`. */
  at: number;
  /** Whether its signature is valid. */
  verified: boolean;
}

export interface Receiver {
  readonly url: string;
  readonly arrivals: readonly Arrival[];
  /** Sets the secret that signatures are checked with. */
  verifyWith(secret: string): void;
  /** Resolves when all of these ids have arrived, or the time is up. */
  arrived(ids: ReadonlySet<string>, withinMs: number): Promise<void>;
  close(): Promise<void>;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** An endpoint as a receiving program would have one: takes pushes, and checks their signatures. */
export async function startReceiver(): Promise<Receiver> {
  const arrivals: Arrival[] = [];
  const seen = new Set<string>();
  let webhook: Webhook | undefined;
  let onArrival: () => void = () => undefined;

  function isVerified(body: string, headers: IncomingMessage["headers"]): boolean {
    try {
      webhook?.verify(body, headers as Record<string, string>);
      return webhook !== undefined;
    } catch {
      return false;
    }
  }

  const server = createServer((request, response) => {
    const at = performance.now();
    readBody(request).then(
      (body) => {
        response.writeHead(204).end();
        const { id, seq } = JSON.parse(body) as { id: string; seq: number };
        arrivals.push({ id, seq, at, verified: isVerified(body, request.headers) });
        seen.add(id);
        onArrival();
      },
      () => response.destroy(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    arrivals,
    verifyWith(secret) {
      webhook = new Webhook(secret);
    },
    arrived(ids, withinMs) {
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, withinMs);
        onArrival = () => {
          if (!new Set(ids).isSubsetOf(seen)) return;
          clearTimeout(timer);
          resolve();
        };
        onArrival();
      });
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
