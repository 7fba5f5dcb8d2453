// Sends requests from a container's own address: `node requests.mjs <URL> <per second> <seconds>`. Prints, as JSON, how many got which status, the median of
// the time to an answer in ms, and what a 429 says in Retry-After.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const [url, perSecond, seconds] = process.argv.slice(2).map((word, n) => (n === 0 ? word : Number(word)));
const protocol = url.startsWith("https:") ? https : http;
const agent = new protocol.Agent({
  keepAlive: true,
  maxSockets: 16,
  ca: readFileSync("/certificate.pem"),
  servername: "localhost",
});
const statuses = {};
const latencies = [];
let retryAfter;

function ask() {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const count = (status) => {
      statuses[status] = (statuses[status] ?? 0) + 1;
      resolve();
    };
    protocol
      .get(url, { agent }, (response) => {
        response.resume();
        retryAfter ??= response.headers["retry-after"];
        response.on("end", () => {
          latencies.push(performance.now() - startedAt);
          count(response.statusCode);
        });
      })
      .on("error", () => count("no answer"));
  });
}

const underway = [];
const startedAt = performance.now();
await new Promise((resolve) => {
  const timer = setInterval(() => {
    const due = Math.min((performance.now() - startedAt) / 1000, seconds) * perSecond;
    while (underway.length < due) underway.push(ask());
    if (underway.length >= seconds * perSecond) {
      clearInterval(timer);
      resolve();
    }
  }, 5);
});
await Promise.all(underway);
latencies.sort((a, b) => a - b);
const medianMs = latencies[Math.floor(latencies.length / 2)];
process.stdout.write(`${JSON.stringify({ statuses, medianMs, retryAfter })}\n`);
agent.destroy();
