import {
  http,
  logIn,
  makePeople,
  type Person,
  register,
  type ScriptedReceiver,
  sendSurely,
  startScriptedReceiver,
  waitFor,
} from "@messenger/testkit";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newPart, openListener, openSender } from "./deployments.ts";

describe("an endpoint that is changed under load", () => {
  let receiver: ScriptedReceiver;
  let part: Awaited<ReturnType<typeof newPart>>;
  let base: string;
  let ada: Person;
  let bob: Person;

  beforeEach(async () => {
    receiver = await startScriptedReceiver();
    part = await newPart();
    base = (await openListener(part)).url;
    [ada, bob] = [await register(base), await register(base)];
  });
  afterEach(async () => {
    await part.closing.closeAll();
    await receiver.close();
  });

  it("gets all of it signed by a secret that it knows, and the past again as it was, while its partition goes to another sender", async () => {
    const first = await openSender(part, "sender-1");
    const call = (method: string, path: string, body?: unknown) =>
      http(`${base}/api/endpoints${path}`, { method, token: bob.token, ...(body !== undefined && { body }) });
    const made = await call("POST", "", { address: `${receiver.url}/hook`, headers: { "x-version": "0" } });
    expect(made).toMatchObject({ status: 201, json: { state: "active" } });
    const id = String(made.json["endpoint_id"]);
    const secrets = [made.json["webhook_secret"] as string];
    const cursor = async (): Promise<number> => (await call("GET", `/${id}`)).json["cursor"] as number;

    // Load, with others beside it.
    const over = new AbortController();
    const sent: string[] = [];
    const others = await Promise.all(Array.from({ length: 3 }, () => register(base)));
    for (const other of others) await logIn(base, other, `${receiver.url}/${other.name}`);
    const clients = [bob, bob, ...others].map(async (to) => {
      while (!over.signal.aborted) {
        const message = await sendSurely(base, ada, to, "under load");
        if (to === bob) sent.push(message);
      }
    });
    const before = async (count: number): Promise<void> => {
      const from = await cursor();
      await waitFor(async () => (await cursor()) >= from + count, { what: `${count} more`, timeoutMs: 60_000 });
    };
    await before(100);
    await openSender(part, "sender-2");
    for (let round = 1; round <= 5; round += 1) {
      const rotated = await call("POST", `/${id}/rotate-secret`, { previous_valid_s: 3600 });
      secrets.push(rotated.json["webhook_secret"] as string);
      expect(await call("PATCH", `/${id}`, { headers: { "x-version": String(round) } })).toMatchObject({ status: 200 });
      if (round === 2) await first.closeAll(); // its partitions go to the other one
      await before(50);
    }
    const replayedAt = receiver.arrivals.length;
    const replayed = await call("POST", `/${id}/replay`, { after: 0 });
    expect(replayed).toMatchObject({ status: 200, json: { after: 0 } });
    const past = replayed.json["events"] as number;
    const toBob = (from: number) => receiver.arrivals.slice(from).filter(({ path }) => path === "/hook");
    // One that was in flight while it was set back may come before the first.
    const again = () => {
      const arrivals = toBob(replayedAt);
      return arrivals.slice(arrivals.findLastIndex(({ seq }) => seq === 1));
    };
    await waitFor(() => again().length >= past, { what: "the past again", timeoutMs: 60_000 });
    over.abort();
    await Promise.all(clients);
    await waitFor(async () => (await cursor()) === sent.length, { what: "the rest", timeoutMs: 60_000 });

    const arrivals = toBob(0);
    for (const { rawBody, headers } of arrivals) {
      const verifies = secrets.some((secret) => {
        try {
          new Webhook(secret).verify(rawBody, headers as never);
          return true;
        } catch {
          return false;
        }
      });
      expect(verifies).toBe(true);
    }
    const versions = arrivals.slice(0, replayedAt).map(({ headers }) => Number(headers["x-version"]));
    expect(new Set(versions)).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    expect(arrivals.at(-1)?.headers["x-version"]).toBe("5");

    // Same order, same ids, same bytes.
    const byId = Map.groupBy(arrivals, ({ id: event }) => event);
    for (const repeats of byId.values()) expect(new Set(repeats.map(({ rawBody }) => rawBody)).size).toBe(1);
    expect(new Set(byId.keys())).toEqual(new Set(sent));
    const log = again();
    expect([...new Set(log.map(({ seq }) => seq))]).toEqual(sent.map((_, n) => n + 1));
    const firstTime = [...new Map(toBob(0).map(({ seq, id: event }) => [seq, event])).values()];
    expect(new Set(firstTime)).toEqual(new Set(sent));
  }, 180_000);

  it("never has more than 32 connections opened for it", async () => {
    await openSender(part, "sender-1");
    const many = await makePeople(base, receiver.url, 50);
    receiver.behave({ status: 204, delayMs: 20 });
    await Promise.all(
      many.map(async (person) => {
        for (let n = 0; n < 20; n += 1) await sendSurely(base, ada, person);
      }),
    );
    await waitFor(() => receiver.arrivals.length >= 1_000, { what: "1,000 pushes", timeoutMs: 60_000 });
    expect(receiver.connections).toBeLessThanOrEqual(32);
  }, 120_000);
});
