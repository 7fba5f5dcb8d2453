import { systemClock } from "@messenger/core";
import type { NodemailerError } from "nodemailer";
import { describe, expect, it } from "vitest";
import type { PushResult } from "./channel.ts";
import { emailCounterpart } from "./counterparts/email.ts";
import { createEmailChannel, resultOf } from "./email.ts";
import { readEmailAddress, readPhoneNumber } from "./recipients.ts";

const refused = (command: string, response: string): NodemailerError =>
  Object.assign(new Error(response), { command, response, responseCode: Number(response.slice(0, 3)) }) as NodemailerError;

const RELAY = { result: "transient", isProvidersFault: true } as const;

describe("what a relay answers", () => {
  it.each<[command: string, response: string, result: Partial<PushResult>]>([
    ["CONN", "554 5.7.1 your address is blocked", RELAY],
    ["AUTH PLAIN", "535 5.7.8 wrong password", RELAY],
    ["MAIL FROM", "553 5.7.1 you do not own this sender", RELAY],
    ["MAIL FROM", "550 5.1.8 no such domain", RELAY],
    ["RCPT TO", "421 4.7.0 too many connections", RELAY],
    ["DATA", "452 4.3.2 not now", RELAY],
    ["RCPT TO", "450 4.7.1 greylisted", { result: "transient" }],
    ["RCPT TO", "452 4.2.2 mailbox full", { result: "transient" }],
    ["RCPT TO", "550 5.1.1 nobody of this name", { result: "gone" }],
    ["RCPT TO", "550 who is that", { result: "gone" }],
    ["RCPT TO", "550 5.7.1 relay access denied", { result: "rejected", isFinal: true }],
    ["DATA", "554 5.6.0 not this one", { result: "rejected", isFinal: true }],
  ])("to %s by %s", (command, response, result) => {
    const read = resultOf(refused(command, response));
    expect(read).toMatchObject(result);
    expect(read.isProvidersFault).toBe(result.isProvidersFault);
    expect(JSON.stringify(read)).not.toContain(response.slice(10));
  });
});

describe("the e-mail channel", () => {
  it("hands over no more than its relay has connections for: what had no turn is not sent later", async () => {
    const relay = await emailCounterpart();
    const channel = createEmailChannel({
      smtpUrl: relay.url as string,
      from: "m@example.org",
      clock: systemClock,
      maxConnections: 1,
    });
    try {
      relay.behave({ does: "hang" });
      const push = (id: string) =>
        channel.push({
          target: channel.prepare({ address: relay.address, secrets: [], timeoutMs: 500 }),
          event: {
            inbox: 1,
            seq: 1,
            version: 0,
            id,
            kind: "notification.created",
            messageId: null,
            conversation: null,
            createdAt: "2026-01-02T03:04:05.678Z",
          },
          content: new Uint8Array(),
          data: { content: "…" },
          receiver: 0,
        });
      const results = await Promise.all([push("one"), push("two"), push("three")]);
      expect(results.map(({ code, isAttempt }) => [code, isAttempt])).toEqual([
        ["ETIMEDOUT", undefined],
        ["EBUSY", false],
        ["EBUSY", false],
      ]);
      expect(relay.taken).toEqual([]);
    } finally {
      await channel.close();
      await relay.close();
    }
  });
});

describe("a recipient", () => {
  it.each([
    ["ada@example.org", "ada@example.org"],
    ["Ada.Lovelace+x@EXAMPLE.org", "Ada.Lovelace+x@example.org"],
    ["ada@bücher.example", "ada@xn--bcher-kva.example"],
    ["ada@example.org/x", undefined],
    ["ada@example.org?x", undefined],
    ["ada@localhost", undefined],
    ["ada@@example.org", undefined],
    ["ada@example.org\r\nbcc: x@example.org", undefined],
    ["Ada <ada@example.org>", undefined],
    ["ada@exa mple.org", undefined],
    [`${"a".repeat(250)}@example.org`, undefined],
  ])("%j is the e-mail address %s", (text, address) => {
    expect(readEmailAddress(text)).toBe(address);
  });

  it.each([
    ["+49 30 12345678", undefined, "+493012345678"],
    ["030/12345678", "DE", "+493012345678"],
    ["030/12345678", undefined, undefined],
    ["+49 30 1234567 ext. 5", undefined, undefined],
    ["0", "DE", undefined],
    ["not a number", "DE", undefined],
  ])("%j, of %s, is the phone number %s", (text, region, number) => {
    expect(readPhoneNumber(text, region)).toBe(number);
  });
});
