import { Readable } from "node:stream";
import type { EVENT_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Events, StreamItem } from "../use-cases/events.ts";

const PULLED_AT_ONCE = 100;
const BUFFERED_BYTES = 16 * 1024;

export function eventHandlers(events: Events): Handlers<typeof EVENT_ROUTES> {
  return {
    pullEvents: ({ identity, query }) => events.pull(identity, query.after, query.limit ?? PULLED_AT_ONCE),
    async createTicket({ identity }) {
      const { ticket, seconds } = await events.createTicket(identity);
      return { ticket, expires_in: seconds };
    },
    async streamEvents(request, reply) {
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort());
      if (reply.raw.destroyed) gone.abort();
      const last = request.headers["last-event-id"];
      const after = typeof last === "string" && last !== "" ? Number(last) : request.query.after;
      const items = await events.follow(request.identity, after, gone.signal);
      // A client that reads nothing is cut off by the server's limit of silence, as even heartbeats do not leave.
      const stream = Readable.from(framed(items), { objectMode: false, highWaterMark: BUFFERED_BYTES });
      // Fastify is silent about what fails once an answer has begun.
      stream.on("error", (error) => {
        if (!gone.signal.aborted) request.log.error({ requestId: request.id, err: error }, "a stream failed");
      });
      return stream;
    },
  };
}

/** As server-sent events (HTML Standard, 9.2). */
async function* framed(items: AsyncIterable<StreamItem>): AsyncGenerator<string, void> {
  yield "retry: 1000\n\n";
  for await (const item of items) {
    switch (item.kind) {
      case "event":
        yield `id: ${item.event.seq}\nevent: ${item.event.type}\ndata: ${JSON.stringify(item.event)}\n\n`;
        break;
      case "signal": {
        const { kind, userId, conversation } = item.signal;
        const where = conversation === null ? undefined : { conversation_id: conversation };
        yield `event: ${kind}\ndata: ${JSON.stringify({ type: kind, user_id: userId, ...where })}\n\n`;
        break;
      }
      case "resync":
        yield `id: ${item.seq}\nevent: resync\ndata: {"seq":${item.seq}}\n\n`;
        break;
      case "heartbeat":
        yield ":\n\n";
    }
  }
}
