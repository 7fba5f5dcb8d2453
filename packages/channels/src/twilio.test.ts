import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "@messenger/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAddressGuard } from "./address-guard.ts";
import type { Channel } from "./channel.ts";
import { createPoster, type Poster } from "./poster.ts";
import { createTwilioChannel } from "./twilio.ts";

const SID = `SM${"0a".repeat(16)}`;

describe("Twilio, asked what became of a message", () => {
  let server: Server;
  let poster: Poster;
  let channel: Channel;
  let answer: { status: number; body: string };
  let asked: string[];

  beforeEach(async () => {
    asked = [];
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    poster = createPoster({ guard: createAddressGuard({ allowCidrs: ["127.0.0.0/8"] }), clock: systemClock });
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const account = { accountSid: "ACtest", authToken: "secret", from: "+15005550006", baseUrl };
    channel = createTwilioChannel({ ...account, kind: "sms", poster, clock: systemClock });
  });
  afterEach(async () => {
    await poster.close();
    server.close();
  });

  it.each([
    ["delivered", null, { status: "delivered", code: null }],
    ["read", null, { status: "delivered", code: null }],
    ["undelivered", 30_003, { status: "failed", code: "Twilio 30003" }],
    ["failed", 30_008, { status: "failed", code: "Twilio 30008" }],
    ["sent", null, undefined],
    ["constructor", null, undefined],
  ])("knows of one that is %s", async (status, error_code, report) => {
    answer = { status: 200, body: JSON.stringify({ sid: SID, status, error_code }) };
    expect(await channel.ask?.(SID)).toEqual(report);
    const authorization = `Basic ${Buffer.from("ACtest:secret").toString("base64")}`;
    expect(asked).toEqual([`GET /2010-04-01/Accounts/ACtest/Messages/${SID}.json ${authorization}`]);
  });

  it.each([
    [404, '{"code":20404}'],
    [500, "nonsense"],
    [200, "nonsense"],
    [200, "[]"],
  ])("learns nothing from an answer of %i, %s", async (status, body) => {
    answer = { status, body };
    expect(await channel.ask?.(SID)).toBeUndefined();
  });

  it("is not asked of what is another provider's, and says what it calls its own", async () => {
    answer = { status: 200, body: JSON.stringify({ sid: SID, status: "delivered" }) };
    expect(await channel.ask?.("wamid.HBgL/../x")).toBeUndefined();
    expect(asked).toEqual([]);

    answer = { status: 201, body: JSON.stringify({ sid: SID, status: "queued" }) };
    const target = channel.prepare({ address: "sms:+493012345678", secrets: [] });
    const event = {
      inbox: 1,
      seq: 1,
      version: 0,
      id: "019a-1",
      kind: "notification.created" as const,
      messageId: null,
      conversation: null,
      createdAt: new Date().toISOString(),
    };
    const push = { target, event, content: new Uint8Array(), data: { content: "hello" }, receiver: 0 };
    expect(await channel.push(push)).toMatchObject({ result: "delivered", providerId: SID });
    answer = { status: 201, body: JSON.stringify({ sid: `SM/../${SID}`, status: "queued" }) };
    expect(await channel.push(push)).not.toHaveProperty("providerId");
  });
});
