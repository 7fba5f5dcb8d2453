import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "@messenger/core";
import { createAddressGuard } from "../address-guard.ts";
import { createWebhookChannel } from "../webhook.ts";
import type { Behaviour, Counterpart, Misbehaviour } from "./counterpart.ts";

const LONG_BYTES = 64 * 1024 * 1024;

/** Writes as much as the other side takes, until it has enough. */
function flood(response: ServerResponse, bytes: number): void {
  const chunk = "x".repeat(64 * 1024);
  let left = bytes;
  const write = (): void => {
    while (left > 0) {
      left -= chunk.length;
      if (!response.write(chunk)) {
        response.once("drain", write);
        return;
      }
    }
    response.end();
  };
  write();
}

function answer({ does, ...more }: Behaviour, response: ServerResponse): void {
  switch (does) {
    case "take":
      response.writeHead(204).end();
      return;
    case "defer": {
      const { afterSeconds } = more as { afterSeconds?: number };
      response.writeHead(503, afterSeconds === undefined ? {} : { "retry-after": String(afterSeconds) }).end();
      return;
    }
    case "reject":
      response.writeHead(422).end("it says why");
      return;
    case "be gone":
      response.writeHead(410).end();
      return;
    case "hang":
    case "answer at length":
    case "answer without end":
    case "answer nonsense":
    case "break off":
      misbehave(does, response);
  }
}

/** As no server of HTTP should. */
export function misbehave(does: Misbehaviour, response: ServerResponse): void {
  switch (does) {
    case "hang":
      return;
    case "answer at length":
      response.writeHead(200);
      flood(response, LONG_BYTES);
      return;
    case "answer without end":
      response.writeHead(200);
      flood(response, Number.POSITIVE_INFINITY);
      return;
    case "answer nonsense":
      response.socket?.end("\0\0 this is not HTTP \r\n\r\n");
      return;
    case "break off":
      response.socket?.resetAndDestroy();
  }
}

export async function webhookCounterpart(): Promise<Counterpart> {
  const taken: { id: string }[] = [];
  let behaviour: Behaviour = { does: "take" };
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      if (behaviour.does === "take") taken.push({ id: String(request.headers["webhook-id"]) });
      answer(behaviour, response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const channel = createWebhookChannel({ guard: createAddressGuard({ allowCidrs: ["127.0.0.0/8"] }), clock: systemClock });
  return {
    channel,
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    unusable: "http://10.0.0.1/",
    behave: (next) => void (behaviour = next),
    taken,
    async close() {
      await channel.close();
      server.close();
      server.closeAllConnections();
    },
  };
}
