import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Push, PushResult } from "./channel.ts";
import type { Counterpart } from "./counterparts/counterpart.ts";
import { emailCounterpart } from "./counterparts/email.ts";
import { metaCounterpart, smsCounterpart, twilioWhatsAppCounterpart } from "./counterparts/providers.ts";
import { webPushCounterpart } from "./counterparts/web-push.ts";
import { webhookCounterpart } from "./counterparts/webhook.ts";

interface Tried {
  name: string;
  open: () => Promise<Counterpart>;
  /** Its protocol can say when to come again. */
  saysWhen: boolean;
}

const COUNTERPARTS: readonly Tried[] = [
  { name: "webhook", open: webhookCounterpart, saysWhen: true },
  { name: "e-mail by SMTP", open: emailCounterpart, saysWhen: false },
  { name: "SMS by Twilio", open: smsCounterpart, saysWhen: true },
  { name: "WhatsApp by Twilio", open: twilioWhatsAppCounterpart, saysWhen: true },
  { name: "WhatsApp by Meta", open: metaCounterpart, saysWhen: true },
  { name: "web push", open: webPushCounterpart, saysWhen: true },
];

const ID = "0197f3a2-6c1d-7b3e-9f00-2a4b6c8d0e1f";

describe.each(COUNTERPARTS)("the channel $name", ({ open, saysWhen }) => {
  let other: Counterpart;

  beforeEach(async () => {
    other = await open();
  });
  afterEach(() => other.close());

  function push(address = other.address, id = ID): Promise<PushResult> {
    const { channel } = other;
    const content = { message: "hallo, wörld", sender_id: 1, sender_username: "ada", receiver_id: 2, send_date: "2026-01-02" };
    const pushed: Push = {
      target: channel.prepare({ address, secrets: [other.secret ?? new Uint8Array(24)], timeoutMs: 1_000 }),
      event: {
        inbox: 1,
        seq: 7,
        version: 0,
        id,
        kind: "message.created",
        messageId: id,
        conversation: 3,
        createdAt: "2026-01-02T03:04:05.678Z",
      },
      content: Buffer.from(JSON.stringify(content)),
      data: { subject: "of a test", content: id },
      receiver: 2,
    };
    return channel.push(pushed);
  }

  it("delivers", async () => {
    expect(await push()).toMatchObject({ result: "delivered" });
    expect(other.taken).toMatchObject([{ id: ID }]);
  });

  it("delivers many at once, each once", async () => {
    const ids = Array.from({ length: 50 }, (_, n) => ID.slice(0, -2) + String(n).padStart(2, "0"));
    const results = await Promise.all(ids.map((id) => push(other.address, id)));
    expect(new Set(results.map(({ result }) => result))).toEqual(new Set(["delivered"]));
    expect(other.taken.map(({ id }) => id).toSorted()).toEqual(ids);
  });

  it("is told to come again", async () => {
    other.behave({ does: "defer" });
    expect(await push()).toMatchObject({ result: "transient" });
  });

  it.runIf(saysWhen)("is told when to come again", async () => {
    other.behave({ does: "defer", afterSeconds: 7 });
    const { result, retryAfterMs } = await push();
    expect([result, retryAfterMs]).toEqual(["transient", 7_000]);
  });

  it("is told that this event is not wanted", async () => {
    other.behave({ does: "reject" });
    expect(await push()).toMatchObject({ result: "rejected" });
  });

  it("is told that the address is no more", async () => {
    other.behave({ does: "be gone" });
    expect(await push()).toMatchObject({ result: "gone" });
  });

  it("sends nothing to what is no address of it", async () => {
    expect(other.channel.vet(other.unusable)).toBeTypeOf("string");
    expect(await push(other.unusable)).toMatchObject({ result: "blocked" });
    expect(other.taken).toEqual([]);
  });

  it("waits no longer than the endpoint's time limit", async () => {
    other.behave({ does: "hang" });
    const result = await push();
    expect(result).toMatchObject({ result: "transient", code: "ETIMEDOUT" });
  });

  it.each(["answer at length", "answer without end", "answer nonsense", "break off"] as const)(
    "comes to a result where the other side does this: %s",
    async (does) => {
      other.behave({ does });
      const { result } = await push();
      expect(["delivered", "transient"]).toContain(result);
      other.behave({ does: "take" });
      expect(await push(other.address, ID.replace("0197", "0198"))).toMatchObject({ result: "delivered" });
    },
  );

  it("ends what is in flight when it is closed", async () => {
    other.behave({ does: "hang" });
    const underWay = Promise.all(Array.from({ length: 20 }, () => push()));
    await other.channel.close();
    expect(new Set((await underWay).map(({ result }) => result))).toEqual(new Set(["transient"]));
    expect(await push()).toMatchObject({ result: "transient" });
  });
});
