import { createSocket } from "node:dgram";
import { once } from "node:events";

/**
 * What a name server says of a name: its IPv4 address with a time to live in seconds, that there is no such
 * name, or nothing.
 */
export type NameAnswer = { address: string; ttl: number } | "none" | "silent";

export interface NameServer {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** The names it was asked for IPv4 addresses of, in order. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

const HEADER_BYTES = 12;
const TYPE_A = 1;
const NO_SUCH_NAME = 3;

/** The name and type of a query with one question (RFC 1035, 4.1). */
function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** A name server on UDP, that answers as it is told. It has no IPv6 addresses. */
export async function startNameServer(answerOf: (name: string) => NameAnswer): Promise<NameServer> {
  const socket = createSocket("udp4");
  const asked: string[] = [];
  socket.on("message", (query, from) => {
    const { name, type, end } = readQuestion(query);
    if (type === TYPE_A) asked.push(name);
    const answer = answerOf(name);
    if (answer === "silent") return;
    const isFound = answer !== "none" && type === TYPE_A;
    const response = Buffer.concat([query.subarray(0, end), isFound ? addressRecord(answer) : Buffer.alloc(0)]);
    response.writeUInt16BE(0x8180 | (answer === "none" ? NO_SUCH_NAME : 0), 2);
    response.writeUInt16BE(isFound ? 1 : 0, 6);
    response.writeUInt32BE(0, 8); // nothing else
    socket.send(response, from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    async close() {
      socket.close();
      await once(socket, "close");
    },
  };
}

/** Of the name in the question. */
function addressRecord({ address, ttl }: { address: string; ttl: number }): Buffer {
  const record = Buffer.alloc(16);
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(TYPE_A, 2);
  record.writeUInt16BE(1, 4); // Internet
  record.writeUInt32BE(ttl, 6);
  record.writeUInt16BE(4, 10);
  record.set(address.split(".").map(Number), 12);
  return record;
}
