import { describe, expect, it } from "vitest";
import { createPermits, type Permit } from "./permits.ts";

/** Asks for permits, and collects those that were granted so far. */
function asking(permits: ReturnType<typeof createPermits>) {
  const granted: { origin: string; permit: Permit }[] = [];
  return {
    granted,
    async ask(origin: string, count = 1, failing = false) {
      for (let n = 0; n < count; n += 1) void permits.acquire(origin, failing).then((permit) => granted.push({ origin, permit }));
      await Promise.resolve();
    },
    async release(count = 1) {
      for (const { permit } of granted.splice(0, count)) permit.release();
      await Promise.resolve();
    },
    origins: () => granted.map(({ origin }) => origin),
  };
}

describe("permits", () => {
  it("are limited in all, and granted again in the order of asking", async () => {
    const pushes = asking(createPermits({ total: 2, failing: 1, perOrigin: 2 }));
    await pushes.ask("a");
    await pushes.ask("b");
    await pushes.ask("c");
    await pushes.ask("d");
    expect(pushes.origins()).toEqual(["a", "b"]);
    await pushes.release();
    expect(pushes.origins()).toEqual(["b", "c"]);
    await pushes.release(2);
    expect(pushes.origins()).toEqual(["d"]);
  });

  it("are limited for each origin, and one that is full does not hold up the others", async () => {
    const pushes = asking(createPermits({ total: 10, failing: 5, perOrigin: 2 }));
    await pushes.ask("a", 5);
    await pushes.ask("b");
    expect(pushes.origins()).toEqual(["a", "a", "b"]);
  });

  it("are shared between origins in turns", async () => {
    const pushes = asking(createPermits({ total: 1, failing: 1, perOrigin: 1 }));
    await pushes.ask("x");
    await pushes.ask("a", 3);
    await pushes.ask("b", 3);
    const order: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      await pushes.release();
      order.push(...pushes.origins());
    }
    expect(order).toEqual(["a", "b", "a", "b", "a", "b"]);
  });

  it("leave most of the room to those that are well", async () => {
    const permits = createPermits({ total: 4, failing: 1, perOrigin: 4 });
    const pushes = asking(permits);
    await pushes.ask("failing", 3, true);
    expect(permits.inFlight).toBe(1);
    await pushes.ask("well", 3);
    expect(pushes.origins()).toEqual(["failing", "well", "well", "well"]);
  });

  it("are released once, however often that is said", async () => {
    const permits = createPermits({ total: 1, failing: 1, perOrigin: 1 });
    const permit = await permits.acquire("a", false);
    permit.release();
    permit.release();
    expect(permits.inFlight).toBe(0);
  });
});
