// A receiver for the tests of the compose deployment: takes every push, and tells on GET /arrivals?from=0 what came. Runs in a container of its own.
import { createServer } from "node:http";

const PORT = 9000;
const arrivals = [];

createServer((request, response) => {
  if (request.method === "GET") {
    const from = Number(new URL(request.url, "http://receiver").searchParams.get("from") ?? 0);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(arrivals.slice(from)));
    return;
  }
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const rawBody = Buffer.concat(chunks).toString();
    const { headers } = request;
    arrivals.push({
      path: request.url,
      id: headers["webhook-id"],
      seq: JSON.parse(rawBody).seq,
      headers,
      rawBody,
      at: Date.now(),
    });
    response.writeHead(204).end();
  });
}).listen(PORT);
process.on("SIGTERM", () => process.exit(0));
