import { once } from "node:events";
import { type IncomingHttpHeaders, type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** Parsed, where the answer says that it is JSON. */
  json: Record<string, unknown>;
}

export interface Call {
  method?: string;
  /** Sent as JSON; a string or a buffer as it is. */
  body?: unknown;
  token?: string;
  accept?: string;
  headers?: Record<string, string> | undefined;
}

const TIMEOUT_MS = 20_000;

/** One HTTP request, of any method with any body. @throws where there is no whole answer within 20 s. */
export async function http(url: string, call: Call = {}): Promise<Answer> {
  const { body } = call;
  const payload = body === undefined || typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const headers: Record<string, string> = { ...call.headers };
  if (payload !== undefined) {
    headers["content-type"] ??= "application/json";
    headers["content-length"] ??= String(Buffer.byteLength(payload));
  }
  if (call.token !== undefined) headers["authorization"] = `Bearer ${call.token}`;
  if (call.accept !== undefined) headers["accept"] = call.accept;
  const method = call.method ?? (body === undefined ? "GET" : "POST");
  const request = url.startsWith("https:") ? requestTls : requestPlain;
  const outgoing = request(url, { method, headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  outgoing.end(payload);
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const isJson = /\bjson\b/u.test(incoming.headers["content-type"] ?? "");
  const json = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text, json };
}
