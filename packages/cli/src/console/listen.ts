import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import type { Given } from "../given.ts";
import { type Api, ApiError, openApi } from "./api.ts";

/** More than any push has. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

interface Pushed {
  type: string;
  id: string;
  seq: number;
  challenge?: string;
  message?: string;
  sender_username?: string;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error("the body is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** A line for a person; of what others wrote, nothing that a terminal would obey. */
function lineOf({ type, seq, message, sender_username: sender }: Pushed, isVerified: boolean): string {
  const text = message === undefined ? "" : ` ${sender ?? "?"}: ${message.replaceAll(/[\p{Cc}\p{Cf}]/gu, "·")}`;
  return `${new Date().toISOString()}  ${isVerified ? "✓" : "✗ NOT SIGNED BY THIS ENDPOINT'S SECRET"}  ${type} ${seq}${text}\n`;
}

/**
 * Makes an endpoint of this machine, and prints pushes as they come, until it is interrupted; the endpoint is deleted
 * then. The senders have to reach it: at `--address`, if that is another one than this port of 127.0.0.1.
 */
export async function listen(env: NodeJS.ProcessEnv, { values }: Given): Promise<number> {
  const api = await openApi(env);
  let webhook: Webhook | undefined;
  const isVerified = (body: string, headers: IncomingMessage["headers"]): boolean => {
    try {
      webhook?.verify(body, headers as Record<string, string>);
      return webhook !== undefined;
    } catch {
      return false;
    }
  };

  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    const pushed = JSON.parse(body) as Pushed;
    if (pushed.challenge !== undefined) {
      response.writeHead(200, { "content-type": "text/plain" }).end(pushed.challenge);
      return;
    }
    const verified = isVerified(body, request.headers);
    // What is not signed, nobody has to send again to this program.
    response.writeHead(verified ? 204 : 401).end();
    // A line for each, with the very bytes that are signed.
    if (values["json"] === true) process.stdout.write(`${JSON.stringify({ verified, headers: request.headers, body })}\n`);
    else process.stdout.write(lineOf(pushed, verified));
  }

  const server = createServer((request, response) => {
    take(request, response).catch(() => response.writeHead(400).end());
  });
  const port = Number(values["port"] ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new ApiError("--port is not a port");
  server.listen(port, "127.0.0.1");
  await once(server, "listening").catch((error: unknown) => {
    throw new ApiError(
      `--port: it cannot listen on port ${port} of this machine (${String((error as NodeJS.ErrnoException).code)})`,
      { cause: error },
    );
  });
  const address = String(values["address"] ?? `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  let id: number | undefined;
  try {
    const made = await makeEndpoint(api, address, String(values["kinds"] ?? "*").split(","));
    id = made.endpoint_id;
    webhook = new Webhook(made.webhook_secret);
    if (made.state !== "active") throw new ApiError(`nothing is pushed to ${address}: ${made.reason ?? made.state}`);
    process.stderr.write(`Endpoint ${id} gets what happens from now on, at ${address}. Ctrl-C ends and deletes it.\n`);
    await new Promise((resolve) => {
      process.once("SIGINT", resolve).once("SIGTERM", resolve);
    });
    return 0;
  } finally {
    server.close();
    server.closeAllConnections();
    if (id !== undefined) await deleteEndpoint(env, api, id);
    await api.close();
  }
}

interface MadeEndpoint {
  endpoint_id: number;
  webhook_secret: string;
  state: string;
  reason: string | null;
}

function makeEndpoint(api: Api, address: string, kinds: readonly string[]): Promise<MadeEndpoint> {
  return api.call<MadeEndpoint>("POST", "endpoints/", { address, kinds });
}

/** By a new session, where the one that made it has ended meanwhile. */
async function deleteEndpoint(env: NodeJS.ProcessEnv, api: Api, id: number): Promise<void> {
  try {
    await api.call("DELETE", `endpoints/${id}/`);
  } catch {
    const again = await openApi(env);
    try {
      await again.call("DELETE", `endpoints/${id}/`);
    } finally {
      await again.close();
    }
  }
}
