import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "@messenger/store";
import {
  http,
  logIn,
  type Person,
  printed,
  register,
  type ScriptedReceiver,
  type ServiceProcess,
  startScriptedReceiver,
  startService,
  waitFor,
} from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expectInOrder, firstArrivals } from "./arrivals.ts";
import { figure, msSince } from "./figure.ts";
import { startLoad } from "./load.ts";

const MIB = 1024 * 1024;

describe("standalone, as a process", () => {
  let folder: string;
  let receiver: ScriptedReceiver;
  let running: ServiceProcess[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "messenger-standalone-"));
    receiver = await startScriptedReceiver();
    running = [];
  });
  afterEach(async () => {
    for (const process of running) await process.kill("SIGKILL");
    await receiver.close();
    await rm(folder, { recursive: true });
  });

  async function start(): Promise<{ process: ServiceProcess; url: string }> {
    const process = startService("standalone", { DATA_DIR: folder, PORT: "0" });
    running.push(process);
    return { process, url: await printed(process, /listens on (http:\S+)/u) };
  }

  async function makePeople(url: string, count: number): Promise<Person[]> {
    const people: Person[] = [];
    for (let n = 0; n < count; n += 1) {
      const person = await register(url);
      await logIn(url, person, `${receiver.url}/${person.id}`);
      people.push(person);
    }
    return people;
  }

  const messagesTo = (people: readonly Person[], count: number) =>
    Array.from({ length: count }, (_, n) => ({
      from: people[0] as Person,
      to: people[n % people.length] as Person,
      text: `message ${n}`,
    }));

  it("loses nothing that it accepted when it is killed under load and started again on the same folder", async () => {
    let { process, url } = await start();
    const people = await makePeople(url, 5);
    const load = startLoad({ urls: () => [url], messages: messagesTo(people, 3_000), concurrency: 16 });
    await waitFor(() => load.answered.size >= 1_000, { what: "1,000 answers" });
    await process.kill("SIGKILL");
    await load.done;
    ({ process, url } = await start());
    await waitFor(
      () => {
        const arrived = new Set(receiver.arrivals.map((arrival) => arrival.id));
        return [...load.answered].every((id) => arrived.has(id));
      },
      { what: "everything that was answered 200 to arrive", timeoutMs: 60_000 },
    );
    expectInOrder(receiver.arrivals);
  });

  it("refuses to start a second time on the same folder, saying so, and leaves the first alone", async () => {
    const { url } = await start();
    const second = startService("standalone", { DATA_DIR: folder, PORT: "0" });
    running.push(second);
    expect(await second.exited).toBe(78);
    expect(second.output).toContain("another Messenger runs on");
    expect(second.output).not.toContain("    at ");
    expect((await http(`${url}/api/health/`)).status).toBe(200);
  });

  it("starts again with the same secret and data", async () => {
    const first = await start();
    const [person] = await makePeople(first.url, 1);
    await first.process.kill("SIGTERM");
    expect(await first.process.exited).toBe(0);
    const startedAt = performance.now();
    const { url } = await start();
    figure("standalone is up again after", msSince(startedAt));
    const token = person?.token as string;
    expect((await http(`${url}/api/users/?username=${person?.name}`, { token })).status).toBe(200);
    expect((await stat(join(folder, "secret"))).mode & 0o777).toBe(0o600);
  });

  it("names every fault of its settings at once, without a stack trace, and exits with 78", async () => {
    const process = startService("standalone", {
      DATA_DIR: folder,
      PORT: "x",
      TOKEN_TTL_SECONDS: "1",
      PUSH_ALLOW_CIDRS: "10.0.0.0/99",
    });
    expect(await process.exited).toBe(78);
    for (const name of ["PORT", "TOKEN_TTL_SECONDS", "PUSH_ALLOW_CIDRS"]) expect(process.output).toContain(name);
    expect(process.output).not.toContain("    at ");
  });

  it(
    "stays small: after 200,000 messages sent and taken, the log is under 128 MB and the outbox under 1 MB",
    { timeout: 900_000 },
    async () => {
      const { process, url } = await start();
      const people = await makePeople(url, 50);
      const count = 200_000;
      const load = startLoad({ urls: () => [url], messages: messagesTo(people, count), concurrency: 128 });
      await load.done;
      expect(load.answered.size).toBe(count);
      await waitFor(() => receiver.arrivals.length >= count, { what: "all to be taken", timeoutMs: 600_000 });
      expect(firstArrivals(receiver.arrivals)).toHaveLength(count);
      expectInOrder(receiver.arrivals);
      const walBytes = async () => {
        const wal = join(folder, "postgres", "pg_wal");
        const sizes = await Promise.all((await readdir(wal)).map(async (name) => (await stat(join(wal, name))).size));
        return sizes.reduce((sum, size) => sum + size, 0);
      };
      await waitFor(async () => (await walBytes()) < 128 * MIB, {
        what: "the write-ahead log to be under 128 MB",
        timeoutMs: 10_000,
      });
      await process.kill("SIGKILL");
      const store = await openStore({ url: `pglite:${join(folder, "postgres")}` });
      try {
        const { rows } = await sql<{ outbox: number }>`select pg_relation_size('outbox') as outbox`.execute(store.db);
        expect(Number(rows[0]?.outbox)).toBeLessThan(MIB);
      } finally {
        await store.close();
      }
    },
  );
});
