import { expect, it } from "vitest";
import { webPushCounterpart } from "./counterparts/web-push.ts";

it.each([
  [3_900, "delivered"],
  [4_000, "rejected"],
])("a push of a text of %i bytes is %s: a push service takes 4,096 in all", async (length, result) => {
  const other = await webPushCounterpart();
  try {
    const target = other.channel.prepare({ address: other.address, secrets: [other.secret as Uint8Array], timeoutMs: 1_000 });
    const event = { inbox: 1, seq: 1, version: 0, id: "e", kind: "notification.created", messageId: null, conversation: null };
    const data = { subject: "ada", content: "x".repeat(length) };
    const pushed = { target, event: { ...event, createdAt: "" }, content: new Uint8Array(), data, receiver: 0 };
    expect(await other.channel.push(pushed)).toMatchObject({ result });
  } finally {
    await other.close();
  }
});
