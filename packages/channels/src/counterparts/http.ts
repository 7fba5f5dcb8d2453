import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Misbehaviour } from "./counterpart.ts";

const LONG_BYTES = 64 * 1024 * 1024;

/** Listens on a free port of this machine, and answers each request once its body has come. */
export async function serveHttp(
  answer: (request: IncomingMessage, body: string, response: ServerResponse, bytes: Buffer) => void,
): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const bytes = Buffer.concat(chunks);
      answer(request, bytes.toString(), response, bytes);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Writes as much as the other side takes, until it has enough. */
function flood(response: ServerResponse, bytes: number): void {
  const chunk = "x".repeat(64 * 1024);
  let left = bytes;
  const write = (): void => {
    while (left > 0) {
      left -= chunk.length;
      if (!response.write(chunk)) {
        response.once("drain", write);
        return;
      }
    }
    response.end();
  };
  write();
}

/** As no server of HTTP should. */
export function misbehave(does: Misbehaviour, response: ServerResponse): void {
  switch (does) {
    case "hang":
      return;
    case "answer at length":
      response.writeHead(200);
      flood(response, LONG_BYTES);
      return;
    case "answer without end":
      response.writeHead(200);
      flood(response, Number.POSITIVE_INFINITY);
      return;
    case "answer nonsense":
      response.socket?.end("\0\0 this is not HTTP \r\n\r\n");
      return;
    case "break off":
      response.socket?.resetAndDestroy();
  }
}
