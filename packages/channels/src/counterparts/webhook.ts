import type { ServerResponse } from "node:http";
import { systemClock } from "@messenger/core";
import { createAddressGuard } from "../address-guard.ts";
import { createWebhookChannel } from "../webhook.ts";
import type { Behaviour, Counterpart } from "./counterpart.ts";
import { misbehave, serveHttp } from "./http.ts";

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
    case "be busy":
      response.writeHead(503).end();
      return;
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

export async function webhookCounterpart(): Promise<Counterpart> {
  const taken: { id: string }[] = [];
  let behaviour: Behaviour = { does: "take" };
  const server = await serveHttp((request, _body, response) => {
    if (behaviour.does === "take") taken.push({ id: String(request.headers["webhook-id"]) });
    answer(behaviour, response);
  });
  const channel = createWebhookChannel({ guard: createAddressGuard({ allowCidrs: ["127.0.0.0/8"] }), clock: systemClock });
  return {
    channel,
    address: `${server.url}/`,
    unusable: "http://10.0.0.1/",
    behave: (next) => void (behaviour = next),
    taken,
    async close() {
      await channel.close();
      server.close();
    },
  };
}
