import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createEmptyDatabase,
  deleteNamespace,
  freePort,
  printed,
  startCommand,
  startService,
  type TestDatabase,
  testNamespace,
} from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { SECRET } from "./deployments.ts";

describe("what an operator runs", () => {
  let database: TestDatabase;
  let settings: Record<string, string>;
  beforeEach(async () => {
    database = await createEmptyDatabase(inject("databaseUrl"));
    settings = {
      DATABASE_URL: database.url,
      AMQP_URL: inject("amqpUrl"),
      AMQP_NAMESPACE: testNamespace(),
      MESSENGER_SECRET: SECRET,
      METRICS_PORT: "0",
      PORT: "0",
    };
  });
  afterEach(() => database.drop());

  it.each(["listener", "sender"] as const)(
    "a %s names every setting that is missing or wrong, and exits with 78",
    async (name) => {
      const process = startService(name, { AMQP_URL: "http://nonsense/", MESSENGER_SECRET: "short" });
      expect(await process.exited).toBe(78);
      for (const setting of ["DATABASE_URL", "AMQP_URL", "MESSENGER_SECRET"]) expect(process.output).toContain(setting);
      expect(process.output).not.toContain("    at ");
    },
  );

  it("the services refuse a database that was not migrated, and say what to do; migrating it twice is as good as once", async () => {
    const early = startService("sender", settings);
    expect(await early.exited).toBe(78);
    expect(early.output).toContain("messenger migrate");
    for (const said of [/Migrated: 0001-initial/u, /up to date/u]) {
      const migrating = startCommand(["migrate"], settings);
      expect(await migrating.exited).toBe(0);
      expect(migrating.output).toMatch(said);
    }
    const repairing = startCommand(["repair"], settings);
    expect(await repairing.exited).toBe(0);
    expect(repairing.output).toContain("0 endpoints");
  });

  it("the services refuse a database that is ahead of them by a step that they must not run beside", async () => {
    expect(await startCommand(["migrate"], settings).exited).toBe(0);
    await sql`insert into schema_steps (name) values ('9999-later-breaking')`.execute(database.store.db);
    const listener = startService("listener", settings);
    expect(await listener.exited).toBe(78);
    expect(listener.output).toContain("9999-later-breaking");
  });

  it("a service that finds its metrics port taken, or no database, says so without a stack trace", async () => {
    expect(await startCommand(["migrate"], settings).exited).toBe(0);
    const occupant = createServer().listen(0, "127.0.0.1");
    await once(occupant, "listening");
    const { port } = occupant.address() as AddressInfo;
    const one = startService("sender", { ...settings, METRICS_PORT: String(port) });
    expect(await one.exited).toBe(1);
    occupant.close();
    expect(one.output).toContain("METRICS_PORT");
    const nowhere = `postgres://postgres@127.0.0.1:${await freePort()}/postgres`;
    const other = startService("sender", { ...settings, DATABASE_URL: nowhere });
    expect(await other.exited).toBe(1);
    expect(other.output).toContain("the database does not answer");
    expect(one.output + other.output).not.toContain("    at ");
  });

  it.each<NodeJS.Signals>(["SIGINT", "SIGTERM"])("every service stops at %s, and exits with 0", async (signal) => {
    expect(await startCommand(["migrate"], settings).exited).toBe(0);
    const folder = await mkdtemp(join(tmpdir(), "messenger-operator-"));
    const services = [
      startService("listener", settings),
      startService("sender", settings),
      startService("standalone", { DATA_DIR: folder, PORT: "0", LOG_LEVEL: "info" }),
    ];
    try {
      for (const service of services) await printed(service, /"msg":"(?:listening|pushing)"|listens on http/u);
      for (const service of services) await service.kill(signal);
      for (const service of services) {
        expect(await service.exited).toBe(0);
        const [, farewell] = service.output.split('"msg":"stopping"');
        expect(farewell).toContain('"msg":"stopped"');
        expect(farewell).not.toMatch(/"level":"(?:warn|error|fatal)"/u);
      }
    } finally {
      for (const service of services) await service.kill("SIGKILL");
      await rm(folder, { recursive: true });
      await deleteNamespace(inject("amqpUrl"), settings["AMQP_NAMESPACE"] as string, 16);
    }
  });

  it("the command says how it is used", async () => {
    const process = startCommand(["nonsense"], {});
    expect(await process.exited).toBe(64);
    expect(process.output).toContain("migrate");
  });
});
