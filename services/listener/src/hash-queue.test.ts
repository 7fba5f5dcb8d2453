import { describe, expect, it } from "vitest";
import { Overloaded } from "./append-queue.ts";
import { createHashQueue, type Urgency } from "./hash-queue.ts";

/** A queue of one place, whose works end when they are told to. */
function open() {
  const queue = createHashQueue(1);
  const order: string[] = [];
  const ends: (() => void)[] = [];
  const ask = (urgency: Urgency, network: string): Promise<void> =>
    queue.run(urgency, network, () => {
      order.push(`${urgency} ${network}`);
      return new Promise((resolve) => ends.push(resolve));
    });
  async function endAll(): Promise<void> {
    for (let end = ends.shift(); end !== undefined; end = ends.shift()) {
      end();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return { queue, order, ask, endAll };
}

describe("the queue of hashes", () => {
  it("lets those go first who sign in from where they have been before, and those who sign up last", async () => {
    const { order, ask, endAll } = open();
    const asked = [ask("sign-up", "a"), ask("sign-up", "b"), ask("log-in", "c"), ask("familiar", "d"), ask("log-in", "e")];
    await endAll();
    await Promise.all(asked);
    expect(order).toEqual(["sign-up a", "familiar d", "log-in c", "log-in e", "sign-up b"]);
  });

  it("lets who signs in from where they have been before wait for nobody else", async () => {
    const { order, ask, endAll } = open();
    const asked = [ask("sign-up", "a"), ask("log-in", "b"), ask("familiar", "c"), ask("familiar", "d")];
    expect(order).toEqual(["sign-up a", "familiar c"]); // beside it, and one at a time
    await endAll();
    await Promise.all(asked);
    expect(order.slice(0, 2)).toEqual(["sign-up a", "familiar c"]);
    expect(order.indexOf("familiar d")).toBe(2);
  });

  it("lets networks take turns, and refuses what is too much of one of them", async () => {
    const { order, ask, endAll } = open();
    const crowd = Array.from({ length: 120 }, () => ask("sign-up", "crowd").catch((error: unknown) => error));
    const other = ask("sign-up", "other");
    await endAll();
    await other;
    expect(order.indexOf("sign-up other")).toBeLessThanOrEqual(2);
    const outcomes = await Promise.all(crowd);
    expect(outcomes.filter((outcome) => outcome instanceof Overloaded)).toHaveLength(111);
  });

  it("lets others sign in and up now and then, however many sign in from where they have been before", async () => {
    const { order, ask, endAll } = open();
    const asked = [ask("familiar", "first"), ask("log-in", "new"), ask("sign-up", "new")];
    for (let n = 0; n < 60; n += 1) asked.push(ask("familiar", `network ${n}`));
    await endAll();
    await Promise.all(asked);
    expect(order.indexOf("sign-up new")).toBeLessThan(20);
    expect(order.indexOf("log-in new")).toBeLessThan(40);
  });

  it("lets somebody sign up now and then, however many sign in", async () => {
    const { order, ask, endAll } = open();
    const asked = [ask("log-in", "first")];
    asked.push(ask("sign-up", "new"));
    for (let n = 0; n < 30; n += 1) asked.push(ask("log-in", `network ${n}`));
    await endAll();
    await Promise.all(asked);
    expect(order.indexOf("sign-up new")).toBeLessThan(10);
  });
});
