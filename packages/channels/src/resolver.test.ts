import { systemClock } from "@messenger/core";
import { type NameAnswer, type NameServer, startNameServer } from "@messenger/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkNameServer, createNameResolver, type NameResolver } from "./resolver.ts";

describe("the name resolver", () => {
  let server: NameServer;
  let answers: Map<string, NameAnswer>;
  let skew: number;
  let resolver: NameResolver;

  beforeEach(async () => {
    answers = new Map();
    skew = 0;
    server = await startNameServer((name) => answers.get(name) ?? (name.endsWith("silent.example") ? "silent" : "none"));
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skew };
    resolver = createNameResolver({
      clock,
      servers: [server.address],
      hosts: "127.0.0.1 localhost\n# a comment\n10.0.0.7  Box box.lan # another\nfe80::1 box\nnonsense here\n",
      resolvConf: "nameserver 1.2.3.4\nsearch inner.example.\n",
    });
  });
  afterEach(() => server.close());

  it("resolves names while any number of others get no answer", async () => {
    answers.set("good.example", { address: "192.0.2.1", ttl: 60 });
    const silent = Array.from({ length: 100 }, (_, n) =>
      resolver.resolve(`n${n}.silent.example`).catch((error: unknown) => error),
    );
    for (let n = 0; n < 20; n += 1) silent.push(resolver.resolve(`x.${n}silent.example`).catch((error: unknown) => error));
    const startedAt = performance.now();
    expect(await resolver.resolve("good.example")).toEqual([{ address: "192.0.2.1", family: 4 }]);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    const errors = await Promise.all(silent);
    expect(performance.now() - startedAt).toBeLessThan(6_000);
    for (const error of errors) expect(error).toMatchObject({ code: "EDNSTIMEOUT" });
    // Of one domain, a few look-ups at a time.
    expect(new Set(server.asked.filter((name) => name.endsWith(".silent.example"))).size).toBeLessThanOrEqual(4);
  });

  it("keeps an answer for its time to live, up to five minutes, and a failure for some seconds", async () => {
    answers.set("short.example", { address: "192.0.2.1", ttl: 10 });
    answers.set("long.example", { address: "192.0.2.2", ttl: 86_400 });
    const ask = (): Promise<unknown> =>
      Promise.allSettled(["short.example", "long.example", "none.example"].map((name) => resolver.resolve(name)));
    const count = (name: string): number => server.asked.filter((asked) => asked === name).length;
    await ask();
    await ask();
    expect([count("short.example"), count("long.example"), count("none.example")]).toEqual([1, 1, 1]);
    skew = 11_000;
    await ask();
    expect([count("short.example"), count("long.example"), count("none.example")]).toEqual([2, 1, 2]);
    skew = 301_000;
    await ask();
    expect(count("long.example")).toBe(2);
  });

  it("asks once for a name that many want at the same time", async () => {
    answers.set("good.example", { address: "192.0.2.1", ttl: 0 });
    await Promise.all(Array.from({ length: 50 }, () => resolver.resolve("Good.example.")));
    expect(server.asked).toEqual(["good.example"]);
  });

  it("knows the hosts file and localhost without asking, and tries the search suffixes", async () => {
    expect(await resolver.resolve("BOX")).toEqual([
      { address: "10.0.0.7", family: 4 },
      { address: "fe80::1", family: 6 },
    ]);
    expect(await resolver.resolve("localhost")).toEqual([{ address: "127.0.0.1", family: 4 }]);
    expect(await resolver.resolve("x.localhost")).toHaveLength(2);
    expect(server.asked).toEqual([]);
    answers.set("receiver.inner.example", { address: "192.0.2.3", ttl: 5 });
    expect(await resolver.resolve("receiver")).toEqual([{ address: "192.0.2.3", family: 4 }]);
    expect(server.asked).toEqual(["receiver.inner.example"]);
  });

  it("says that a name does not exist", async () => {
    await expect(resolver.resolve("none.example")).rejects.toMatchObject({ code: "ENOTFOUND" });
  });
});

it("takes addresses of name servers, with a port or without, and nothing else", () => {
  for (const good of ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:53"]) {
    expect(() => checkNameServer(good), good).not.toThrow();
  }
  for (const bad of ["", "dns.example", "192.0.2", "192.0.2.53:dns", "192.0.2.53:70000", "192.0.2.0/24", "1.1.1.1 8.8.8.8"]) {
    expect(() => checkNameServer(bad), bad).toThrow("is not the address of a name server");
  }
});
