import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy between a process and a server, which can be a bad network. */
export interface Proxy {
  readonly port: number;
  /** Breaks all connections. */
  cut(): void;
  /** Holds back what goes through, in both directions, for so long; 0 for not at all. */
  delay(ms: number): void;
  /**
   * Lets nothing through, and says nothing, until it is resumed; of connections that are open now only, if so
   * asked.
   */
  stall(options?: { onlyOpen: boolean }): void;
  resume(): void;
  close(): Promise<void>;
}

/** Starts a proxy to a server on this machine. */
export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let delayMs = 0;
  let stalled = false;
  const silenced = new Set<Socket>();

  function forward(from: Socket, to: Socket): void {
    from.on("data", (chunk) => {
      from.pause();
      setTimeout(() => {
        if (!to.destroyed) to.write(chunk);
        if (!stalled && !silenced.has(from)) from.resume();
      }, delayMs);
    });
  }

  const server = createServer((client) => {
    const upstream = connect(target);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on("error", () => undefined); // its end is passed on below
      socket.on("close", () => {
        pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
    forward(client, upstream);
    forward(upstream, client);
    if (stalled) for (const socket of pair) socket.pause();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  function cut(): void {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
  }

  return {
    port: (server.address() as AddressInfo).port,
    cut,
    delay(ms) {
      delayMs = ms;
    },
    stall(options) {
      stalled = options?.onlyOpen !== true;
      for (const pair of pairs) {
        for (const socket of pair) {
          silenced.add(socket);
          socket.pause();
        }
      }
    },
    resume() {
      stalled = false;
      silenced.clear();
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    async close() {
      server.close();
      cut();
      await once(server, "close");
    },
  };
}
