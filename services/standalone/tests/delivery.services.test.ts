import {
  logIn,
  type Person,
  register,
  type ScriptedReceiver,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { expectInOrder, firstArrivals, repeats } from "./arrivals.ts";
import { type Deployment, deployments } from "./deployments.ts";
import { figure } from "./figure.ts";

describe.each(deployments)("delivery, $name", ({ deploy }) => {
  let deployment: Deployment;
  let base: string;
  let receiver: ScriptedReceiver;
  let ada: Person;
  let bob: Person;

  beforeAll(async () => {
    deployment = await deploy();
    base = deployment.urls[0] as string;
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    receiver = await startScriptedReceiver();
    [ada, bob] = [await register(base), await register(base)];
  });
  afterEach(() => receiver.close());

  async function sendMany(to: Person, count: number): Promise<string[]> {
    const ids: string[] = [];
    let n = 0;
    const client = async (): Promise<void> => {
      while (n < count) {
        n += 1;
        const url = deployment.urls[n % deployment.urls.length] as string;
        ids.push(await sendSurely(url, ada, to, `message ${n}`));
      }
    };
    await Promise.all(Array.from({ length: 8 }, client));
    return ids;
  }

  const at = (path: string) => receiver.arrivals.filter((arrival) => arrival.path === path);

  it("tries an endpoint that is down once a back-off step, and gives it all that it missed, in order, once it is up", async () => {
    await logIn(base, bob, `${receiver.url}/bob`);
    receiver.behave({ status: 503 });
    const ids = await sendMany(bob, 500);
    await waitFor(() => at("/bob").length >= 2, { what: "the second attempt" });
    const failed = at("/bob").length;
    receiver.behave({ status: 204 });
    await waitFor(() => firstArrivals(at("/bob")).length === ids.length, { what: "all 500", timeoutMs: 60_000 });

    expect(failed).toBeLessThanOrEqual(3);
    const [probe, ...rest] = at("/bob").slice(failed);
    expect(new Set(at("/bob").map((arrival) => arrival.id))).toEqual(new Set(ids));
    figure(
      "all 500 have arrived after the first probe that succeeds by",
      `${Math.round((rest.at(-1)?.at ?? 0) - (probe?.at ?? 0))} ms`,
    );
    // All of the failed attempts were at the first event.
    expect(
      new Set(
        at("/bob")
          .slice(0, failed + 1)
          .map((arrival) => arrival.seq),
      ),
    ).toEqual(new Set([1]));
    expectInOrder(at("/bob"));
  });

  it("does not let an endpoint that hangs, or breaks every connection, hold up the others", async () => {
    const carol = await register(base);
    await logIn(base, bob, `${receiver.url}/hangs`);
    await logIn(base, carol, `${receiver.url}/well`);
    receiver.behave((arrival) => (arrival.path === "/hangs" ? (arrival.seq % 2 === 1 ? "hang" : "reset") : { status: 200 }));
    await sendMany(bob, 50);
    await waitFor(() => at("/hangs").length > 0, { what: "a push to the one that hangs" });
    const ids = await sendMany(carol, 50);
    await waitFor(() => at("/well").length === ids.length, { what: "the other's pushes", timeoutMs: 5_000 });
    expect(at("/hangs")).toHaveLength(1);
  });

  it("retries what failed under the same id, and then goes on", async () => {
    await logIn(base, bob, receiver.url);
    let failures = 0;
    receiver.behave(({ seq }) => ({ status: seq === 2 && (failures += 1) === 1 ? 500 : 204 }));
    const ids = [await sendSurely(base, ada, bob), await sendSurely(base, ada, bob), await sendSurely(base, ada, bob)];
    await waitFor(() => firstArrivals(receiver.arrivals).length === 3 && receiver.arrivals.length === 4, { what: "the retry" });
    expect(receiver.arrivals.map((arrival) => arrival.id)).toEqual([ids[0], ids[1], ids[1], ids[2]]);
  });

  it("goes on trying what is answered 404, as a receiver does that is being deployed, and then goes on in order", async () => {
    await logIn(base, bob, receiver.url);
    let tries = 0;
    receiver.behave(({ seq }) => ({ status: seq === 1 && (tries += 1) < 3 ? 404 : 204 }));
    const ids = [await sendSurely(base, ada, bob), await sendSurely(base, ada, bob)];
    await waitFor(() => receiver.arrivals.length === 4, { what: "three tries, and the next", timeoutMs: 30_000 });
    expect(receiver.arrivals.map((arrival) => arrival.id)).toEqual([ids[0], ids[0], ids[0], ids[1]]);
  });

  it("does not follow a redirect, to a private address or elsewhere", async () => {
    await logIn(base, bob, `${receiver.url}/from`);
    receiver.behave({ status: 302, headers: { location: `${receiver.url}/to` } });
    await sendSurely(base, ada, bob);
    await waitFor(() => at("/from").length >= 3, { what: "three tries", timeoutMs: 30_000 });
    expect(at("/to")).toEqual([]);
  });

  it("pushes nothing more to an address that is gone, until somebody signs in with it again", async () => {
    await logIn(base, bob, receiver.url);
    receiver.behave({ status: 410 });
    await sendSurely(base, ada, bob);
    await waitFor(() => receiver.arrivals.length === 1, { what: "the push that is answered 410" });
    const missed = [receiver.arrivals[0]?.id, await sendSurely(base, ada, bob)];
    receiver.behave({ status: 204 });
    await logIn(base, bob, receiver.url);
    await waitFor(() => receiver.arrivals.length === 3, { what: "what it had not taken" });
    expect(receiver.arrivals.slice(1).map((arrival) => arrival.id)).toEqual(missed);
  });

  it("counts 2xx as delivered whatever becomes of the body", async () => {
    await logIn(base, bob, receiver.url);
    receiver.behave("endless body");
    const ids = [await sendSurely(base, ada, bob), await sendSurely(base, ada, bob)];
    await waitFor(() => firstArrivals(receiver.arrivals).length === 2, { what: "both" });
    expect(receiver.arrivals.map((arrival) => arrival.id)).toEqual(ids);
  });

  it("follows Retry-After", async () => {
    await logIn(base, bob, receiver.url);
    receiver.behave(() => (receiver.arrivals.length === 1 ? { status: 429, headers: { "retry-after": "3" } } : { status: 204 }));
    await sendSurely(base, ada, bob);
    await waitFor(() => receiver.arrivals.length === 2, { what: "the retry" });
    expect((receiver.arrivals[1]?.at ?? 0) - (receiver.arrivals[0]?.at ?? 0)).toBeGreaterThan(2_900);
  });

  it("keeps the order of each of many inboxes while all are busy", async () => {
    const people = [bob, await register(base), await register(base), await register(base)];
    for (const person of people) await logIn(base, person, `${receiver.url}/${person.id}`);
    receiver.behave(({ seq }) => ({ status: 204, delayMs: seq % 3 }));
    const ids = (await Promise.all(people.map((person) => sendMany(person, 60)))).flat();
    await waitFor(() => firstArrivals(receiver.arrivals).length === ids.length, { what: "all of them" });
    expectInOrder(receiver.arrivals);
    expect(repeats(receiver.arrivals)).toEqual([]);
  });
});
