import type { Broker } from "@messenger/broker";
import { type PlainEvent, type QueueMessage, systemClock } from "@messenger/core";
import { describe, expect, it, vi } from "vitest";
import { createPublisher } from "./publisher.ts";

/** Waits no longer than 10 ms for anything. */
const hastyClock = { ...systemClock, after: (ms: number, run: () => void) => systemClock.after(Math.min(ms, 10), run) };

function open(publish: (messages: readonly QueueMessage[]) => Promise<boolean>, notify: Broker["notify"] = () => undefined) {
  const published: { messages: number; confirmed: boolean }[] = [];
  const deleted: number[] = [];
  const publisher = createPublisher({
    broker: { notify, publish },
    clock: hastyClock,
    deleteOutbox(ids) {
      deleted.push(...ids);
      return Promise.resolve();
    },
    onPublished: (messages, confirmed) => void published.push({ messages, confirmed }),
    onError: (error) => expect.fail(String(error)),
  });
  return { publisher, published, deleted };
}

const event: PlainEvent = {
  inbox: 1,
  seq: 1,
  version: 0,
  id: "018f",
  kind: "message.created",
  messageId: "018f",
  conversation: 1,
  createdAt: "2026-01-02T03:04:05.678Z",
  content: new Uint8Array(),
  sealed: false,
};

describe("the publisher", () => {
  it("drops the outbox rows of what the broker confirmed, and no others", async () => {
    let confirms = true;
    const { publisher, published, deleted } = open(() => Promise.resolve(confirms));
    for (const [outboxId, isConfirmed] of [true, false, true].entries()) {
      confirms = isConfirmed;
      publisher.wake({ inbox: 1, outboxId });
      await vi.waitFor(() => expect(published).toHaveLength(outboxId + 1));
    }
    await vi.waitFor(() => expect(deleted).toContain(2));
    expect(deleted).toEqual([0, 2]);
  });

  it("has a batch of too large contents read from the log, and tells streams at once that it is there", async () => {
    const [taken, notices]: [QueueMessage[], object[]] = [[], []];
    const publish = (messages: readonly QueueMessage[]): Promise<boolean> => {
      taken.push(...messages);
      return Promise.resolve(true);
    };
    const { publisher, deleted } = open(publish, (told) => void notices.push(...told));
    const content = new Uint8Array(1024 * 1024);
    const events = Array.from({ length: 20 }, (_, n) => ({ ...event, inbox: n % 10, seq: n + 1, content }));
    publisher.publishEvents({ events, outboxId: 7 });
    await vi.waitFor(() => expect(deleted).toEqual([7]));
    expect(taken).toEqual(Array.from({ length: 10 }, (_, inbox) => ({ type: "wake", inbox })));
    expect(notices).toEqual(Array.from({ length: 10 }, (_, inbox) => ({ inbox, seq: inbox + 11 })));
  });

  it("keeps little for a broker that confirms nothing: the rest is left to the outbox, and a stop does not wait for ever", async () => {
    const { publisher, published, deleted } = open(() => new Promise(() => undefined));
    for (let n = 0; n < 1_000; n += 1) publisher.wake({ inbox: n, outboxId: n });
    await vi.waitFor(() => expect(published.length).toBeGreaterThanOrEqual(800));
    expect(published.every(({ confirmed }) => !confirmed)).toBe(true);
    await publisher.idle();
    expect(deleted).toEqual([]);
  });

  it("keeps 32 MiB at most for the broker, leaves the rest to its outbox rows, and goes on once the broker confirms", async () => {
    const gate = Promise.withResolvers<boolean>();
    const { publisher, published, deleted } = open(() => gate.promise);
    const content = new Uint8Array(8 * 1024 * 1024);
    for (let n = 0; n < 6; n += 1) publisher.publishEvents({ events: [{ ...event, content }], outboxId: n });
    expect(published).toEqual([
      { messages: 1, confirmed: false },
      { messages: 1, confirmed: false },
    ]);
    gate.resolve(true);
    await vi.waitFor(() => expect(deleted).toEqual([0, 1, 2, 3]));
    publisher.publishEvents({ events: [{ ...event, content }], outboxId: 6 });
    await vi.waitFor(() => expect(deleted).toEqual([0, 1, 2, 3, 6]));
  });
});
