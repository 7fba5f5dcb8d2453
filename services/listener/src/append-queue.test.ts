import { systemClock } from "@messenger/core";
import type { AppendedBatch, NewMessage } from "@messenger/store";
import { describe, expect, it, vi } from "vitest";
import { createAppendQueue, type OutgoingMessage, Overloaded } from "./append-queue.ts";

const message = (id: string): OutgoingMessage => ({
  id,
  sentEventId: `${id}-sent`,
  senderId: 1,
  to: { user: 2 },
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

/** A clock that stands still until time is passed. */
function manualClock() {
  let now = 0;
  const timers = new Set<{ at: number; run: () => void }>();
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    now: () => now,
    monotonic: () => now,
    soon: (run: () => void) => systemClock.soon(run),
    after(delayMs: number, run: () => void) {
      const timer = { at: now + delayMs, run };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    /** Passes so much time, from one timer to the next. */
    async pass(ms: number): Promise<void> {
      const until = now + ms;
      for (;;) {
        await settle();
        await settle();
        const [next] = [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.run();
      }
      now = until;
    },
  };
}

class Unavailable extends Error {}

function open(appendMessages: (messages: readonly NewMessage[]) => Promise<AppendedBatch>) {
  const appended: { events: readonly { id: string; content: Uint8Array }[]; outboxId: number | null }[] = [];
  const clock = manualClock();
  const queue = createAppendQueue({
    clock,
    appendMessages,
    whyUnavailable: (error) => (error instanceof Unavailable ? "it is away" : undefined),
    onAppended: (batch) => appended.push(batch),
    onBatch: () => undefined,
    onError: () => undefined,
  });
  return { queue, appended, clock };
}

describe("the append queue", () => {
  it("writes those that wait together in one statement, and hands on their events with their contents", async () => {
    const batches: number[] = [];
    const { queue, appended, clock } = open((messages) => {
      batches.push(messages.length);
      return Promise.resolve(written(messages));
    });
    const appending = Promise.all(["a", "b", "c"].map((id) => queue.append(message(id))));
    await clock.pass(1);
    const results = await appending;
    expect(results.map((result) => result.status === "appended" && result.message.seq)).toEqual([1, 2, 3]);
    expect(batches).toEqual([3]);
    await vi.waitFor(() => expect(appended).toHaveLength(1));
    expect(appended[0]?.events.map((event) => Buffer.from(event.content).toString())).toEqual(["a", "b", "c"]);
  });

  it("sends a batch whose outcome is unknown again, with the same ids", async () => {
    const seen: string[][] = [];
    const { queue, clock } = open((messages) => {
      seen.push(messages.map(({ id }) => id));
      return seen.length < 3 ? Promise.reject(new Unavailable()) : Promise.resolve(written(messages));
    });
    const appending = Promise.all([queue.append(message("a")), queue.append(message("b"))]);
    await clock.pass(1_000);
    await appending;
    expect(seen).toEqual([
      ["a", "b"],
      ["a", "b"],
      ["a", "b"],
    ]);
  });

  it("answers each message within ten seconds of its arrival while the store is away, whatever waits before it, and says why", async () => {
    const { queue, clock } = open(() =>
      clock.pass(0).then(() => new Promise((_, reject) => clock.after(700, () => reject(new Unavailable())))),
    );
    const answeredAfter: number[] = [];
    for (let n = 0; n < 6_000; n += 1) {
      const arrivedAt = clock.monotonic();
      queue.append(message(`m ${n}`)).catch((error: unknown) => {
        expect(error).toEqual(new Overloaded("it is away"));
        answeredAfter.push(clock.monotonic() - arrivedAt);
      });
      if (n % 1_000 === 0) await clock.pass(300);
    }
    await clock.pass(10_000);
    expect(answeredAfter).toHaveLength(6_000);
    expect(Math.max(...answeredAfter)).toBeLessThanOrEqual(10_000);
  });

  it("answers within ten seconds while a statement is not answered at all, and does not write what was given up before it was sent", async () => {
    const sent: string[] = [];
    const { queue, clock } = open((messages) => {
      sent.push(...messages.map(({ id }) => id));
      return new Promise(() => undefined);
    });
    const outcomes: unknown[] = [];
    const append = (id: string): void => void queue.append(message(id)).catch((error: unknown) => outcomes.push(error));
    append("first");
    await clock.pass(5);
    append("second");
    await clock.pass(5);
    append("third");
    await clock.pass(10_000);
    expect(outcomes).toHaveLength(3);
    expect(sent).toEqual(["first", "second"]);
  });

  it("lets one that is at fault fail alone", async () => {
    const { queue, clock } = open((messages) =>
      messages.some(({ id }) => id === "bad") ? Promise.reject(new Error("bad")) : Promise.resolve(written(messages)),
    );
    const appending = Promise.allSettled(["a", "bad", "c"].map((id) => queue.append(message(id))));
    await clock.pass(10);
    const outcomes = await appending;
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  it("refuses more than 10,000 that wait", async () => {
    const gate = Promise.withResolvers<void>();
    const { queue, clock } = open((messages) => gate.promise.then(() => written(messages)));
    const first = Promise.allSettled(Array.from({ length: 1_000 }, (_, n) => queue.append(message(`first ${n}`))));
    await clock.pass(5);
    expect(queue.waiting).toBe(0); // two statements of 500 each are under way
    const waiting = Promise.allSettled(Array.from({ length: 10_001 }, (_, n) => queue.append(message(`m ${n}`))));
    gate.resolve();
    await clock.pass(1_000);
    await first;
    const refused = (await waiting).filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(1);
    expect((refused[0] as PromiseRejectedResult).reason).toBeInstanceOf(Overloaded);
  });

  it("refuses more than 128 MiB of contents that are not written yet, and takes messages again once they are", async () => {
    const gate = Promise.withResolvers<void>();
    const { queue, clock } = open((messages) => gate.promise.then(() => written(messages)));
    const content = new Uint8Array(16 * 1024 * 1024);
    const outcomes: string[] = [];
    const append = (id: string): Promise<unknown> =>
      queue.append({ ...message(id), content }).then(
        () => outcomes.push("written"),
        (error: unknown) => outcomes.push(String(error)),
      );
    const first = Array.from({ length: 9 }, (_, n) => append(`first ${n}`)); // 128 MiB, and the one that goes beyond
    await clock.pass(5);
    expect(queue.waiting).toBe(0); // what a statement has under way counts, too
    await append("beyond");
    expect(outcomes).toEqual(["Overloaded: too many messages wait to be written"]);
    gate.resolve();
    await clock.pass(10);
    await Promise.all(first);
    const later = append("later");
    await clock.pass(10);
    await later;
    expect(outcomes.slice(1)).toEqual(Array.from({ length: 10 }, () => "written"));
  });
});
