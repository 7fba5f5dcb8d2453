import { randomBytes, randomUUID } from "node:crypto";
import { answerContext, createKeyring, systemRandom } from "@messenger/core";
import { createTestDatabase, type TestDatabase } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { resealAll } from "./resealing.ts";

const OLD = "a previous secret of the tests, of 32 bytes";
const NEW = "the current secret of the tests, of 32 bytes";
const old = createKeyring({ secret: OLD, random: systemRandom });
const both = createKeyring({ secret: NEW, previous: [OLD], random: systemRandom });
const alone = createKeyring({ secret: NEW, random: systemRandom });

describe("resealing", () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createTestDatabase(inject("databaseUrl"));
  });
  afterEach(() => database.drop());

  it("reseals tables of any length, and values of any size, a few at a time", async () => {
    const { db } = database.store;
    const messages = Array.from({ length: 1_203 }, (_, n) => ({
      id: randomUUID(),
      plain: randomBytes(n % 400 === 0 ? 5 * 1024 * 1024 : 10 + (n % 300)),
    }));
    for (const { id, plain } of messages) {
      await sql`
        insert into messages (id, conversation_id, sender_id, content, sent_at) values (${id}, 1, 1, ${old.contents.seal(id, plain)}, now())
      `.execute(db);
    }
    // Many of one place in the log, told apart by microseconds.
    await sql`
      insert into attempts (endpoint_id, seq, attempt, at, outcome, ms, answer)
      select 1, 2, n, timestamptz '2026-03-29 00:59:59+00' + n * interval '1 microsecond', 'transient', 1, ${old.contents.seal(answerContext(1, 2), Buffer.from("an answer"))}
      from generate_series(1, 1203) n
    `.execute(db);

    const slices: number[] = [];
    const lost = await resealAll(db, both, {
      onProgress: () => undefined,
      pause: (ms) => {
        slices.push(ms);
        return Promise.resolve();
      },
    });
    expect(lost).toEqual([]);
    const found = await sql<{ id: string; content: Buffer }>`select id, content from messages`.execute(db);
    const plain = new Map<string, Buffer>(messages.map((message) => [message.id, message.plain]));
    for (const { id, content } of found.rows) {
      expect(alone.contents.unseal(id, content).equals(plain.get(id) as Buffer)).toBe(true);
    }
    const { rows } = await sql<{ answer: Buffer }>`select answer from attempts`.execute(db);
    expect(rows).toHaveLength(1_203);
    for (const { answer } of rows) expect(alone.contents.unseal(answerContext(1, 2), answer).toString()).toBe("an answer");
    expect(slices.length).toBeGreaterThan(50);
  });

  it("names what it cannot unseal, and goes on", async () => {
    const { db } = database.store;
    const [fine, foreign] = [randomUUID(), randomUUID()];
    const other = createKeyring({ secret: "a secret that nobody knows any more, alas", random: systemRandom });
    for (const [id, keyring] of [
      [fine, old],
      [foreign, other],
    ] as const) {
      await sql`
        insert into messages (id, conversation_id, sender_id, content, sent_at)
        values (${id}, 1, 1, ${keyring.contents.seal(id, Buffer.from("hello"))}, now())
      `.execute(db);
    }
    const hooks = { onProgress: () => undefined, pause: () => Promise.resolve() };
    expect(await resealAll(db, both, hooks)).toEqual([`messages.content of ${foreign}`]);
    const { rows } = await sql<{ content: Buffer }>`select content from messages where id = ${fine}`.execute(db);
    expect(alone.contents.unseal(fine, rows[0]?.content as Buffer).toString()).toBe("hello");
  });
});
