import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { http, type Person, send, waitFor } from "@messenger/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { figure, msSince } from "../figure.ts";
import {
  Arrivals,
  compose,
  containersOf,
  deploy,
  docker,
  EDGE,
  expectNothingLost,
  hasEngine,
  killHard,
  makePeople,
  recovered,
  shell,
  startedAt,
  startLoad,
  stopLoads,
  tearDown,
  underLoad,
} from "./deployment.ts";

const PER_SECOND = 100;
/** What listeners, senders and nginx may take together. */
const MEMORY_MAX_MIB = 1024;

describe.skipIf(!(await hasEngine()))("a compose deployment that breaks", () => {
  const arrivals = new Arrivals();
  let people: Person[];

  beforeAll(async () => {
    await deploy();
    people = await makePeople(20);
  }, 900_000);
  afterEach(() => stopLoads());
  afterAll(() => tearDown(), 300_000);

  it.each(["nginx", "listener", "sender", "rabbitmq", "postgres"])(
    "loses nothing when %s is killed under load",
    async (service) => {
      const load = await underLoad(people, PER_SECOND);
      const [victim] = await containersOf(service);
      const before = await startedAt(victim as string);
      const killedAt = performance.now();
      await killHard(victim as string);
      await recovered(victim as string, before);
      figure(`${service} is healthy again`, `${msSince(killedAt)} after it was killed`);
      const answered = load.answered.size;
      await waitFor(() => load.answered.size > answered + PER_SECOND, { what: "messages to be answered again" });
      await expectNothingLost(load, arrivals, `${service} killed`);
    },
  );

  it("asks another listener when one falls silent, and has every message once", async () => {
    const [silent] = await containersOf("listener");
    const before = Number(await query("select count(*) from messages"));
    await docker("pause", silent as string);
    const startedAt = performance.now();
    try {
      const answers = await Promise.all(people.map((person) => send(EDGE, person, person)));
      expect(answers.map(({ status }) => status)).toEqual(people.map(() => 200));
    } finally {
      await docker("unpause", silent as string);
    }
    figure("all are answered beside a listener that is silent", msSince(startedAt));
    expect(performance.now() - startedAt).toBeGreaterThan(10_000); // somebody did ask it
    // The one that was silent goes on where it stood: what it writes now is there already.
    await waitFor(async () => (await send(EDGE, people[0] as Person, people[0] as Person)).status === 200, { what: "an answer" });
    expect(Number(await query("select count(*) from messages"))).toBe(before + people.length + 1);
  });

  it("accepts messages while RabbitMQ is away, and delivers them when it is back", async () => {
    await compose("stop", "rabbitmq");
    const load = await underLoad(people, PER_SECOND);
    await waitFor(() => load.answered.size > 5 * PER_SECOND, { what: "five seconds' load to be answered", timeoutMs: 30_000 });
    expect(Object.keys(Object.fromEntries(load.reasons))).toEqual(["200"]);
    await compose("start", "rabbitmq");
    await expectNothingLost(load, arrivals, "without RabbitMQ for a while");
  });

  it("answers 503 with Retry-After while PostgreSQL is away, and messages are accepted when it is back", async () => {
    await compose("stop", "postgres");
    const [ada] = people as [Person];
    const refused = await waitFor(
      async () => {
        const answer = await send(EDGE, ada, ada);
        return answer.status === 503 ? answer : undefined;
      },
      { what: "a message to be refused", timeoutMs: 30_000 },
    );
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    expect(refused.json["detail"]).toMatch(/try again/u);
    expect((await http(`${EDGE}/api/health/`)).status).toBe(200);
    await compose("start", "postgres");
    await waitFor(async () => (await send(EDGE, ada, ada)).status === 200, {
      what: "a message to be accepted",
      timeoutMs: 30_000,
    });
  });

  it("takes at most 1 GB beside PostgreSQL and RabbitMQ, under load", async () => {
    const load = startLoad(people, 3 * PER_SECOND);
    await waitFor(() => load.answered.size > 20 * PER_SECOND, { what: "the load to be answered", timeoutMs: 120_000 });
    let sum = 0;
    for (const service of ["nginx", "listener", "sender", "postgres", "rabbitmq"]) {
      const containers = await containersOf(service);
      const text = await docker("stats", "--no-stream", "--format", "{{.MemUsage}}", ...containers);
      const each = text
        .trim()
        .split("\n")
        .map((line) => toMiB(line.split(" / ")[0] as string));
      figure(`memory of ${service}`, each.map((mib) => `${Math.round(mib)} MiB`).join(", "));
      if (service !== "postgres" && service !== "rabbitmq") sum += each.reduce((total, mib) => total + mib, 0);
    }
    await expectNothingLost(load, arrivals, `${3 * PER_SECOND} messages a second`);
    figure("on disk, for each message of some 10 bytes, its event and its attempt, with indexes", await bytesOfMessage());
    expect(sum).toBeGreaterThan(100);
    expect(sum).toBeLessThan(MEMORY_MAX_MIB);
  });

  it("comes back from a backup after all was wiped: nothing that was accepted before is lost, or delivered under a new id", async () => {
    const folder = await mkdtemp(join(tmpdir(), "messenger-backup-"));
    try {
      // Some of it is not delivered when the backup is made.
      await compose("stop", "sender");
      const load = await underLoad(people, PER_SECOND);
      await load.stop();
      await shell("infra/backup.sh", join(folder, "backup"));
      await compose("start", "sender");
      await arrivals.include(load.answered);
      const known = new Map(arrivals.all.map(({ path, seq, id }) => [`${path} ${seq}`, id]));

      await compose("down", "--volumes");
      await shell("infra/restore.sh", join(folder, "backup"));
      arrivals.forget(); // the receiver is another one, too
      await arrivals.include(load.answered);
      for (const { path, seq, id } of arrivals.all) expect(known.get(`${path} ${seq}`)).toBe(id);
      figure(
        "after the restore",
        `${arrivals.all.length} deliveries, ${load.answered.size} of them of what was not delivered before the backup`,
      );
      const [ada] = people as [Person];
      expect((await send(EDGE, ada, ada)).status).toBe(200); // with the token of before: the secret is the same
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

async function query(text: string): Promise<string> {
  return (await compose("exec", "-T", "postgres", "psql", "--username", "messenger", "-tAc", text)).trim();
}

async function bytesOfMessage(): Promise<string> {
  const sizes = ["messages", "events", "attempts"].map((table) => `pg_total_relation_size('${table}')`).join(" + ");
  return query(`select (${sizes}) / count(*) || ' bytes' from messages`);
}

/** `12.5MiB`, as `docker stats` has it. */
function toMiB(text: string): number {
  const [, amount, unit = ""] = /^([\d.]+)([KMG]iB)$/u.exec(text) ?? [];
  return Number(amount) * ({ KiB: 1 / 1024, MiB: 1, GiB: 1024 }[unit] as number);
}
