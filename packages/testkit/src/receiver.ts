import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A push as it arrived. */
export interface Arrival {
  path: string;
  /** Of `webhook-id`. */
  id: string;
  seq: number;
  body: Record<string, unknown>;
  rawBody: string;
  headers: IncomingHttpHeaders;
  /** By `performance.now()`. */
  at: number;
}

/** How an arrival is answered. */
export type Behaviour =
  | { status: number; delayMs?: number; headers?: Record<string, string>; body?: string }
  /** Never answers. */
  | "hang"
  /** Breaks the connection. */
  | "reset"
  /** Answers 200, then sends a body that never ends. */
  | "endless body";

export interface ScriptedReceiver {
  /** `http://127.0.0.1:<port>`; every path below it is an address. */
  readonly url: string;
  readonly arrivals: readonly Arrival[];
  /** How many were ever opened to it. */
  readonly connections: number;
  /** Of endpoints that are to be verified: they are answered, unless it is told not to. */
  readonly challenges: readonly Arrival[];
  /** Whether challenges are answered from now on. */
  answerChallenges(answers: boolean): void;
  /** Challenges are answered so much later from now on. */
  answerChallengesAfter(ms: number): void;
  /** Decides on every arrival from now on, but challenges. */
  behave(behaviour: Behaviour | ((arrival: Arrival) => Behaviour)): void;
  close(): Promise<void>;
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function act(behaviour: Behaviour, response: ServerResponse): Promise<void> {
  if (behaviour === "hang") return;
  if (behaviour === "reset") {
    response.socket?.resetAndDestroy();
    return;
  }
  if (behaviour === "endless body") {
    response.writeHead(200);
    while (!response.destroyed && !response.closed) {
      response.write("x".repeat(1024));
      await sleep(5);
    }
    return;
  }
  if (behaviour.delayMs !== undefined) await sleep(behaviour.delayMs);
  response.writeHead(behaviour.status, behaviour.headers).end(behaviour.body);
}

/** A receiving program that answers as it is told; 204 until then. */
export async function startScriptedReceiver(): Promise<ScriptedReceiver> {
  const arrivals: Arrival[] = [];
  const challenges: Arrival[] = [];
  let answersChallenges = true;
  let challengesTakeMs = 0;
  let decide: (arrival: Arrival) => Behaviour = () => ({ status: 204 });

  const server = createServer((request, response) => {
    const at = performance.now();
    read(request)
      .then((rawBody) => {
        const body = JSON.parse(rawBody) as Record<string, unknown>;
        const id = String(request.headers["webhook-id"]);
        const arrival: Arrival = {
          path: request.url ?? "",
          id,
          seq: body["seq"] as number,
          body,
          rawBody,
          headers: request.headers,
          at,
        };
        if (body["type"] === "endpoint.verification") {
          challenges.push(arrival);
          const answer = answersChallenges ? JSON.stringify({ challenge: body["challenge"] }) : "hello";
          return sleep(challengesTakeMs).then(() => void response.writeHead(200).end(answer));
        }
        arrivals.push(arrival);
        return act(decide(arrival), response);
      })
      .catch(() => response.destroy());
  });
  let connections = 0;
  server.on("connection", () => void (connections += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    get connections() {
      return connections;
    },
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    challenges,
    answerChallengesAfter: (ms) => void (challengesTakeMs = ms),
    answerChallenges: (answers) => void (answersChallenges = answers),
    behave(behaviour) {
      decide = typeof behaviour === "function" ? behaviour : () => behaviour;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
