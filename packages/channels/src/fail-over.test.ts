import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Channel, PushResult } from "./channel.ts";
import type { Counterpart } from "./counterparts/counterpart.ts";
import { emailCounterpart } from "./counterparts/email.ts";
import { metaCounterpart, twilioWhatsAppCounterpart } from "./counterparts/providers.ts";
import { createFailOverChannel } from "./fail-over.ts";

const PAIRS = [
  { name: "two relays", open: [emailCounterpart, emailCounterpart] },
  { name: "Twilio and Meta", open: [twilioWhatsAppCounterpart, metaCounterpart] },
] as const;

describe.each(PAIRS)("a channel with $name", ({ open }) => {
  let first: Counterpart;
  let second: Counterpart;
  let channel: Channel;
  beforeEach(async () => {
    [first, second] = [await open[0](), await open[1]()];
    channel = createFailOverChannel(first.channel, second.channel);
  });
  afterEach(async () => {
    await channel.close();
    await first.close();
    await second.close();
  });

  let ids = 0;
  const nextId = (): string => {
    ids += 1;
    return `0197f3a2-6c1d-7b3e-9f00-${String(ids).padStart(12, "0")}`;
  };
  function push(id = nextId(), data: Record<string, unknown> = { content: id }): Promise<PushResult> {
    const target = channel.prepare({ address: first.address, secrets: [], timeoutMs: 1_000 });
    const event = { inbox: 1, seq: 1, version: 0, id, kind: "notification.created", messageId: null, conversation: null };
    return channel.push({
      target,
      event: { ...event, createdAt: "2026-01-02T03:04:05.678Z" },
      content: new Uint8Array(),
      data,
      receiver: 0,
    });
  }

  it("sends by the first", async () => {
    expect(await push()).toMatchObject({ result: "delivered" });
    expect([first.taken.length, second.taken.length]).toEqual([1, 0]);
  });

  it("sends each by the second while the first has no room", async () => {
    first.behave({ does: "be busy" });
    for (let n = 0; n < 5; n += 1) expect(await push()).toMatchObject({ result: "delivered" });
    expect([first.taken.length, second.taken.length]).toEqual([0, 5]);
    expect(second.taken.map(({ id }) => id)).toEqual([...new Set(second.taken.map(({ id }) => id))]);
  });

  it("leaves with the first what that may have sent", async () => {
    first.behave({ does: "hang" });
    const id = nextId();
    expect(await push(id)).toMatchObject({ result: "transient", mayBeSent: true });
    first.behave({ does: "take" });
    expect(await push(id)).toMatchObject({ result: "delivered" });
    expect([first.taken.length, second.taken.length]).toEqual([1, 0]);
  });

  it("takes the first's word for what it refuses", async () => {
    first.behave({ does: "reject" });
    expect(await push()).toMatchObject({ result: "rejected" });
    first.behave({ does: "be gone" });
    expect(await push()).toMatchObject({ result: "gone" });
    expect(second.taken).toEqual([]);
  });

  it("says that it is the provider's fault where neither has room", async () => {
    first.behave({ does: "be busy" });
    second.behave({ does: "be busy" });
    expect(await push()).toMatchObject({ result: "transient", isProvidersFault: true });
  });

  it.runIf(open[0] === emailCounterpart)("leaves a template with the first, which alone knows it", async () => {
    first.behave({ does: "be busy" });
    const id = nextId();
    expect(await push(id, { template: { name: "n", language: "en", variables: [] } })).toMatchObject({ result: "transient" });
    expect(second.taken).toEqual([]);
  });
});
