import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * What streams cost at the least: one process that keeps nothing, asks nobody, and writes what it is sent to
 * the stream of whoever it is for. Prints `listening <url>`.
 *
 * `GET /stream?user=N` is a stream; `POST /send?user=N` has the text of an event as its body.
 */
const followers = new EventEmitter();
followers.setMaxListeners(0);

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://localhost");
  const user = url.searchParams.get("user") ?? "";
  if (request.method === "GET") {
    const write = (text: string): void => void response.write(text);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(":\n\n");
    followers.on(user, write);
    response.once("close", () => followers.off(user, write));
    return;
  }
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    response.end("ok");
    followers.emit(user, Buffer.concat(parts).toString());
  });
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
process.stdout.write(`listening http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
