import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";

/** What came by a stream of server-sent events. */
export interface Streamed {
  id: string | undefined;
  event: string;
  data: Record<string, unknown>;
}

export interface EventStream {
  /** All that came so far; comments are left out. */
  readonly arrived: readonly Streamed[];
  /** Comments that came: heartbeats. */
  readonly comments: number;
  /** Resolves once the server, or `close`, has ended it. */
  readonly ended: Promise<void>;
  close(): void;
}

/**
 * Opens a stream of server-sent events. Resolves once it is open. @throws where it is refused, with what was
 * answered.
 */
export async function openEventStream(url: string, token: string, headers: Record<string, string> = {}): Promise<EventStream> {
  const outgoing = request(url, { headers: { authorization: `Bearer ${token}`, accept: "text/event-stream", ...headers } });
  outgoing.end();
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  incoming.setEncoding("utf8");
  if (incoming.statusCode !== 200) {
    const parts: string[] = [];
    for await (const part of incoming) parts.push(part as string);
    throw new Error(`${incoming.statusCode} ${parts.join("")}`);
  }
  const arrived: Streamed[] = [];
  let comments = 0;
  let rest = "";
  incoming.on("data", (part: string) => {
    const blocks = (rest + part).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      if (block.startsWith(":")) comments += 1;
      else if (block.includes("data: ")) arrived.push(readBlock(block));
    }
  });
  const ended = Promise.withResolvers<void>();
  incoming.on("error", () => undefined); // it was cut off
  incoming.on("close", () => ended.resolve());
  return {
    arrived,
    get comments() {
      return comments;
    },
    ended: ended.promise,
    close: () => void incoming.destroy(),
  };
}

function readBlock(block: string): Streamed {
  const fields = new Map(
    block.split("\n").map((line) => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)] as const;
    }),
  );
  const data = JSON.parse(fields.get("data") ?? "{}") as Record<string, unknown>;
  return { id: fields.get("id"), event: fields.get("event") ?? "message", data };
}
