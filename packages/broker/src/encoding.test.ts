import { createKeyring, type QueueMessage, SealError, systemRandom } from "@messenger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bundle, BUNDLE_TYPE, unbundle } from "./encoding.ts";

const PARTITIONS = 4;
const { bundles: sealer } = createKeyring({ secret: "a secret of the tests, of more than 32 bytes", random: systemRandom });

function event(inbox: number, seq: number, bytes = 5): QueueMessage & { type: "event" } {
  return {
    type: "event",
    inbox,
    seq,
    version: 3,
    id: `id-${inbox}-${seq}`,
    kind: "message.created",
    messageId: "the message",
    conversation: 7,
    createdAt: "2026-01-02T03:04:05.678Z",
    content: Buffer.alloc(bytes, seq),
    sealed: false,
  };
}

const messages = fc.array(
  fc.oneof(
    fc
      .record({ inbox: fc.nat(20), seq: fc.integer({ min: 1, max: 200 }), bytes: fc.nat(3_000) })
      .map(({ inbox, seq, bytes }) => event(inbox, seq, bytes)),
    fc.nat(20).map((inbox): QueueMessage => ({ type: "wake", inbox })),
  ),
  { maxLength: 300 },
);

const read = (bundles: ReturnType<typeof bundle>): QueueMessage[] =>
  bundles.flatMap(({ body, partition }) => unbundle(BUNDLE_TYPE, body, { partition, partitions: PARTITIONS, sealer }).messages);

describe("a bundle", () => {
  it("gives back what was put in, whole, and in order for each inbox", () => {
    fc.assert(
      fc.property(messages, (sent) => {
        const bundles = bundle(sent, PARTITIONS, sealer);
        const got = read(bundles);
        expect(bundles.reduce((sum, { size }) => sum + size, 0)).toBe(sent.length);
        for (let inbox = 0; inbox <= 20; inbox += 1) {
          expect(got.filter((message) => message.inbox === inbox)).toEqual(sent.filter((message) => message.inbox === inbox));
        }
      }),
      { numRuns: 100 },
    );
  });

  it("holds 16 messages or 64 KiB of contents at most, but for one that is larger by itself", () => {
    fc.assert(
      fc.property(messages, (sent) => {
        for (const { size, body } of bundle(sent, PARTITIONS, sealer)) {
          expect(size).toBeLessThanOrEqual(16);
          expect(body.length).toBeLessThan(64 * 1024 + 16 * 200);
        }
      }),
      { numRuns: 50 },
    );
    expect(bundle([event(1, 1, 100_000), event(1, 2, 100_000)], PARTITIONS, sealer).map(({ size }) => size)).toEqual([1, 1]);
  });

  const [good] = bundle([event(4, 1), event(8, 1)], PARTITIONS, sealer);
  const body = good?.body as Buffer;
  const withHead = (rows: unknown): Buffer => {
    const head = Buffer.from(JSON.stringify(rows));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(head.length);
    return Buffer.concat([length, head]);
  };

  it.each([
    ["another type", "message.created", body],
    ["no bytes", BUNDLE_TYPE, Buffer.alloc(0)],
    ["a head that is cut short", BUNDLE_TYPE, body.subarray(0, 20)],
    ["contents that nobody owns", BUNDLE_TYPE, Buffer.concat([withHead([[4]]), Buffer.from([0])])],
    ["a head that is no list", BUNDLE_TYPE, withHead({ inbox: 4 })],
    ["a row that is malformed", BUNDLE_TYPE, withHead([[4, 1]])],
    ["an inbox that is no integer", BUNDLE_TYPE, withHead([["4"]])],
    ["an inbox of another partition", BUNDLE_TYPE, withHead([[5]])],
  ])("is refused with %s", (_what, type, bytes) => {
    expect(() => unbundle(type, bytes, { partition: 0, partitions: PARTITIONS, sealer })).toThrow(TypeError);
  });

  it("takes events of kinds that a later version made for wakes, beside those that it knows", () => {
    const known = { ...event(4, 1), kind: "message.created" };
    const [made] = bundle([{ ...event(4, 2), kind: "something.new" }, known], PARTITIONS, sealer);
    const { messages } = unbundle(BUNDLE_TYPE, made?.body as Buffer, {
      partition: 4 % PARTITIONS,
      partitions: PARTITIONS,
      sealer,
    });
    expect(messages).toMatchObject([
      { type: "wake", inbox: 4 },
      { type: "event", inbox: 4, seq: 1, content: known.content },
    ]);
  });

  it("that cannot be unsealed is read as wakes: what it says is in the log", () => {
    const other = createKeyring({ secret: "another secret of the tests, of 32 bytes", random: systemRandom }).bundles;
    for (const [bytes, opener] of [
      [body, other],
      [body.subarray(0, body.length - 1), sealer],
      [body.subarray(0, 4 + body.readUInt32BE()), sealer],
      [Buffer.concat([body, Buffer.from([0])]), sealer],
    ] as const) {
      const { messages: got, error } = unbundle(BUNDLE_TYPE, bytes, { partition: 0, partitions: PARTITIONS, sealer: opener });
      expect(got).toEqual([
        { type: "wake", inbox: 4 },
        { type: "wake", inbox: 8 },
      ]);
      expect(error).toBeInstanceOf(SealError);
    }
  });

  it("shows nothing of a content", () => {
    const [sealed] = bundle([{ ...event(4, 1), content: Buffer.from("what was said") }], PARTITIONS, sealer);
    expect(sealed?.body.includes("what was said")).toBe(false);
  });

  it("is refused, and nothing worse, whatever its bytes are", () => {
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(body);
        changed[at] = value;
        try {
          unbundle(BUNDLE_TYPE, changed, { partition: 0, partitions: PARTITIONS, sealer });
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
        }
      }),
    );
  });
});
