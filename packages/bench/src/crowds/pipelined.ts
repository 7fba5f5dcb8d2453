import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { CrowdDeps } from "./orders.ts";

/** A client that is ended comes again. */
const AGAIN_AFTER_MS = 1_000;
const MAX_CONNECTIONS = 100_000;
/** A connection that the listener leaves open for so long is given up. */
const PATIENCE_MS = 5_000;
/** A short answer, and one of some hundred KB. */
const PATHS = ["/api/health/", "/api/openapi.json"];

export async function pipeline({ url, crowd, over, count, ready }: CrowdDeps<"pipelined">): Promise<void> {
  let made = 0;

  async function connectOnce(n: number, requests: Buffer): Promise<void> {
    const socket = connect({ host: url.hostname, port: Number(url.port), localAddress: `127.20.0.${n + 1}` });
    const closed = new Promise((resolve) => socket.once("close", resolve));
    let ended = "ended by the listener";
    socket.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (code !== "ECONNRESET" && code !== "EPIPE") ended = String(code);
    });
    socket.pause(); // reads nothing
    socket.write(requests);
    // Whoever writes nothing more and reads nothing does not notice that the other side has gone.
    const probing = setInterval(() => socket.write(" "), 100);
    const givenUp = setTimeout(() => {
      ended = "left open";
      socket.destroy();
    }, PATIENCE_MS);
    const stop = (): void => void socket.destroy();
    over.addEventListener("abort", stop);
    await closed;
    over.removeEventListener("abort", stop);
    clearInterval(probing);
    clearTimeout(givenUp);
    if (!over.aborted) count(ended);
  }

  async function client(n: number): Promise<void> {
    const request = `GET ${PATHS[n % PATHS.length]} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`;
    const requests = Buffer.from(request.repeat(Math.ceil(crowd.bytes / request.length)));
    for (; made < MAX_CONNECTIONS && !over.aborted; made += 1) {
      await connectOnce(n, requests);
      await sleep(AGAIN_AFTER_MS, undefined, { signal: over }).catch(() => undefined); // it is over
    }
  }

  ready();
  await Promise.all(Array.from({ length: crowd.clients }, (_, n) => client(n)));
}
