import { startProxy, type Proxy } from "@messenger/testkit";
import { sql } from "kysely";
import { afterEach, beforeEach, expect, inject, it } from "vitest";
import { isUnavailable } from "./errors.ts";
import { openStore, type Store } from "./open-store.ts";

let proxy: Proxy;
let store: Store;

beforeEach(async () => {
  const url = new URL(inject("databaseUrl"));
  proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${proxy.port}`;
  store = await openStore({ url: url.href, statementTimeoutMs: 300, maxConnections: 3 });
});
afterEach(async () => {
  proxy.resume();
  await store.close();
  await proxy.close();
});

const ask = () => sql<{ one: number }>`select ${1}::integer as one`.execute(store.db);

it("drops a connection that has fallen silent, and goes on with new ones", async () => {
  await Promise.all([ask(), ask(), ask()]);
  // The old ones say nothing any more, as after a fail-over whose old host vanished; new ones work.
  proxy.stall();
  const silent = await Promise.allSettled([ask(), ask(), ask()]);
  expect(silent.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  for (const outcome of silent) expect(outcome).toMatchObject({ reason: expect.toSatisfy(isUnavailable) });
  proxy.stall({ onlyOpen: true });
  expect((await ask()).rows).toEqual([{ one: 1 }]);
});

it("ends a statement that takes longer than it may", async () => {
  await expect(sql`select pg_sleep(5), ${1}::integer`.execute(store.db)).rejects.toSatisfy(isUnavailable);
  expect((await ask()).rows).toEqual([{ one: 1 }]);
});
