import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import type { Socket } from "node:net";

/**
 * Requests of one connection that may be without an answer. Node reads those that are pipelined, and keeps each
 * with its answer until the client reads.
 */
const MAX_UNANSWERED = 50;
/** A connection on which nothing is read or written for so long, while a request is under way. */
const SILENT_MS = 30_000;
/** From the first byte of a request to the last of its body. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How often it is looked whose time is up. */
const LOOK_EVERY_MS = 5_000;
const KEEP_ALIVE_MS = 75_000; // longer than nginx keeps its connections to us

/**
 * Ends a connection that has sent many requests. When it closes, Node makes an error for each request that it
 * has read, also for those that are dropped: one chunk of 64 KiB holds 1,200 short ones. Nobody reads the
 * stack traces of these errors. Without them, such a connection costs some 20 ms of CPU time; with them, 45
 * ms.
 */
function endWithoutTraces(socket: Socket): void {
  const { stackTraceLimit } = Error;
  // Node's own listener runs between these two.
  socket.prependOnceListener("close", () => (Error.stackTraceLimit = 0));
  socket.once("close", () => (Error.stackTraceLimit = stackTraceLimit));
  socket.destroy();
}

/** Node's HTTP server, with a bound on everything that a client can make it hold. */
export function createBoundedServer(
  handler: RequestListener,
  /** Of connections each takes some 10 KB, and a file descriptor. */
  { maxConnections, ...options }: ServerOptions & { maxConnections: number },
): Server {
  /** Of each connection with a request under way, the requests that wait for its answer. */
  const waiting = new WeakMap<Socket, (() => void)[]>();

  /** Answers one request of a connection at a time, as they are answered in order anyway (RFC 9112, 9.3.2). */
  function onRequest(request: IncomingMessage, response: ServerResponse & { req: IncomingMessage }): void {
    const { socket } = request;
    // What was read together with the request that ended the connection is not looked at.
    if (socket.destroyed) return;

    function answer(): void {
      response.once("close", () => {
        const next = waiting.get(socket)?.shift();
        // After the last answer of a connection (RFC 9112, 9.6), nothing more is done on it.
        if (next === undefined || socket.destroyed || socket.writableEnded) waiting.delete(socket);
        else next();
      });
      handler(request, response);
    }

    const before = waiting.get(socket);
    if (before === undefined) {
      waiting.set(socket, []);
      answer();
    } else if (before.length + 1 < MAX_UNANSWERED) before.push(answer);
    else endWithoutTraces(socket);
  }

  const server = createServer(
    {
      ...options,
      connectionsCheckingInterval: LOOK_EVERY_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    onRequest,
  );
  server.maxConnections = maxConnections;
  server.timeout = SILENT_MS;
  return server;
}
