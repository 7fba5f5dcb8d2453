import { systemClock } from "@messenger/core";
import type { AppendedBatch, NewMessage } from "@messenger/store";
import { describe, expect, it, vi } from "vitest";
import { createAppendQueue, type OutgoingMessage, Overloaded } from "./append-queue.ts";

const message = (id: string): OutgoingMessage => ({
  id,
  sentEventId: `${id}-sent`,
  senderId: 1,
  receiverId: 2,
  sessionId: 1,
  content: Buffer.from(`sealed ${id}`),
  plain: Buffer.from(id),
  sentAt: 0,
  requestKey: null,
});

/** What the store answers when it writes all of a batch. */
function written(messages: readonly NewMessage[]): AppendedBatch {
  const made = messages.map(({ id }, n) => ({ id, seq: n + 1, conversation: 1, createdAt: "2026-01-02T03:04:05.678Z" }));
  return {
    results: made.map((appended) => ({ status: "appended", message: appended })),
    events: made.map(({ id, ...rest }) => ({ ...rest, id, inbox: 2, version: 0, kind: "message.created", messageId: id })),
    outboxId: 9,
  };
}

/** A clock that jumps to whatever is waited for. */
function jumpingClock() {
  let now = 0;
  return {
    now: () => now,
    monotonic: () => now,
    soon: (run: () => void) => systemClock.soon(run),
    after(delayMs: number, run: () => void) {
      return systemClock.after(0, () => {
        now += delayMs;
        run();
      });
    },
  };
}

class Unavailable extends Error {}

function open(appendMessages: (messages: readonly NewMessage[]) => Promise<AppendedBatch>) {
  const appended: { events: readonly { id: string; content: Uint8Array }[]; outboxId: number | null }[] = [];
  const queue = createAppendQueue({
    clock: jumpingClock(),
    appendMessages,
    whyUnavailable: (error) => (error instanceof Unavailable ? "it is away" : undefined),
    onAppended: (batch) => appended.push(batch),
    onBatch: () => undefined,
    onError: () => undefined,
  });
  return { queue, appended };
}

describe("the append queue", () => {
  it("writes those that wait together in one statement, and hands on their events with their contents", async () => {
    const batches: number[] = [];
    const { queue, appended } = open((messages) => {
      batches.push(messages.length);
      return Promise.resolve(written(messages));
    });
    const results = await Promise.all(["a", "b", "c"].map((id) => queue.append(message(id))));
    expect(results.map((result) => result.status === "appended" && result.message.seq)).toEqual([1, 2, 3]);
    expect(batches).toEqual([3]);
    await vi.waitFor(() => expect(appended).toHaveLength(1));
    expect(appended[0]?.events.map((event) => Buffer.from(event.content).toString())).toEqual(["a", "b", "c"]);
  });

  it("sends a batch whose outcome is unknown again, with the same ids", async () => {
    const seen: string[][] = [];
    const { queue } = open((messages) => {
      seen.push(messages.map(({ id }) => id));
      return seen.length < 3 ? Promise.reject(new Unavailable()) : Promise.resolve(written(messages));
    });
    await Promise.all([queue.append(message("a")), queue.append(message("b"))]);
    expect(seen).toEqual([
      ["a", "b"],
      ["a", "b"],
      ["a", "b"],
    ]);
  });

  it("gives up after ten seconds without the store, and says why", async () => {
    const { queue } = open(() => Promise.reject(new Unavailable()));
    await expect(queue.append(message("a"))).rejects.toThrow(new Overloaded("it is away"));
  });

  it("lets one that is at fault fail alone", async () => {
    const { queue } = open((messages) =>
      messages.some(({ id }) => id === "bad") ? Promise.reject(new Error("bad")) : Promise.resolve(written(messages)),
    );
    const outcomes = await Promise.allSettled(["a", "bad", "c"].map((id) => queue.append(message(id))));
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  it("refuses more than 10,000 that wait", async () => {
    const gate = Promise.withResolvers<void>();
    const { queue } = open((messages) => gate.promise.then(() => written(messages)));
    const first = Promise.allSettled(Array.from({ length: 1_000 }, (_, n) => queue.append(message(`first ${n}`))));
    await vi.waitFor(() => expect(queue.waiting).toBe(0)); // two statements of 500 each are under way
    const waiting = Promise.allSettled(Array.from({ length: 10_001 }, (_, n) => queue.append(message(`m ${n}`))));
    gate.resolve();
    await first;
    const refused = (await waiting).filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(1);
    expect((refused[0] as PromiseRejectedResult).reason).toBeInstanceOf(Overloaded);
  });
});
