import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { CrowdDeps } from "./orders.ts";

const CONNECTIONS_OF_ADDRESS = 250;
/** A connection that was ended is made again after this time; so one slot makes few connections. */
const AGAIN_MS = 1_000;
const BYTE_EVERY_MS = 1_000;
/** So many are connected at a time. */
const AT_ONCE = 50;

export async function idleAndSlow({ url, crowd, over, count, ready }: CrowdDeps<"idle and slow">): Promise<void> {
  const { host, hostname, port } = url;
  const slowHeader = `POST /api/login/ HTTP/1.1\r\nHost: ${host}\r\nX-Slow: `;
  const slowBody = `POST /api/login/ HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{"`;

  function open(n: number): Socket {
    const localAddress = `127.21.0.${Math.floor(n / CONNECTIONS_OF_ADDRESS) + 1}`;
    const socket = connect({ host: hostname, port: Number(port), localAddress });
    socket.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (!over.aborted && code !== "ECONNRESET" && code !== "EPIPE") count(String(code));
    });
    socket.resume(); // it reads what it is answered, but it waits for nothing
    return socket;
  }

  /** Keeps one connection open, as long as it lasts, and makes another one. */
  async function hold(n: number, first: Socket): Promise<void> {
    for (let socket = first; ; socket = open(n)) {
      const closed = new Promise((resolve) => socket.once("close", resolve));
      let writing: NodeJS.Timeout | undefined;
      if (n >= crowd.idle) {
        socket.write(n % 2 === 0 ? slowHeader : slowBody);
        writing = setInterval(() => socket.write("x"), BYTE_EVERY_MS);
      }
      const stop = (): void => void socket.destroy();
      over.addEventListener("abort", stop);
      await closed;
      over.removeEventListener("abort", stop);
      clearInterval(writing);
      if (over.aborted) {
        count("still open at the end");
        return;
      }
      count("ended by the listener");
      await sleep(AGAIN_MS);
      if (over.aborted) return;
    }
  }

  const held: Promise<void>[] = [];
  for (let n = 0; n < crowd.idle + crowd.slow && !over.aborted; n += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, crowd.idle + crowd.slow - n) }, (_, m) => open(n + m));
    await Promise.all(some.map((socket) => once(socket, "connect")));
    held.push(...some.map((socket, m) => hold(n + m, socket)));
  }
  ready();
  await Promise.all(held);
}
