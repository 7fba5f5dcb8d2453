import { type Person, type SteadyLoad, waitFor } from "@messenger/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { figure, msSince } from "../figure.ts";
import {
  Arrivals,
  compose,
  containersOf,
  deploy,
  docker,
  expectNothingLost,
  hasEngine,
  killHard,
  makePeople,
  partitionsBySender,
  shell,
  stopLoads,
  tearDown,
  underLoad,
} from "./deployment.ts";

const PER_SECOND = 200;
const PARTITIONS = 16;

const scale = (service: string, count: number): Promise<string> =>
  compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", "--scale", `${service}=${count}`, service);

/** Which listeners answered lately, by nginx' log. */
async function answering(): Promise<ReadonlySet<string>> {
  const log = await compose("logs", "--no-log-prefix", "--since", "2s", "nginx");
  return new Set([...log.matchAll(/"listener":"([\d.]+):5000"/gu)].map((match) => match[1] as string));
}

describe.skipIf(!(await hasEngine()))("a compose deployment that is scaled and upgraded", () => {
  const arrivals = new Arrivals();
  let people: Person[];
  let load: SteadyLoad;

  beforeAll(async () => {
    await deploy();
    people = await makePeople(20);
  }, 900_000);
  afterEach(() => stopLoads());
  afterAll(() => tearDown(), 300_000);

  /** The share of each sender, once there are so many and they have all partitions. */
  async function sharesOf(senders: number): Promise<number[] | undefined> {
    const shares = [...(await partitionsBySender()).values()];
    const all = shares.reduce((sum, share) => sum + share, 0);
    return shares.length === senders && all === PARTITIONS ? shares : undefined;
  }
  async function evenSharesOf(senders: number): Promise<number[] | undefined> {
    const shares = await sharesOf(senders);
    return shares !== undefined && Math.max(...shares) - Math.min(...shares) <= 1 ? shares : undefined;
  }
  const untilShared = (senders: number): Promise<number[]> =>
    waitFor(() => evenSharesOf(senders), { what: `${senders} senders to share the partitions evenly`, timeoutMs: 30_000 });

  /** What happens does not let one request fail. */
  async function expectNoneFailed(what: string): Promise<void> {
    await expectNothingLost(load, arrivals, what);
    expect(Object.fromEntries(load.reasons)).toEqual({ 200: load.answered.size });
  }

  it("has four listeners answer within ten seconds of being scaled to four, and fails no request on the way and back to one", async () => {
    load = await underLoad(people, PER_SECOND);
    await scale("listener", 4);
    const startedAt = performance.now();
    await waitFor(async () => (await answering()).size === 4, { what: "four listeners to answer", timeoutMs: 10_000 });
    figure("four listeners answer, after they are healthy", msSince(startedAt));
    await scale("listener", 1);
    await waitFor(async () => (await answering()).size === 1, { what: "one listener to answer" });
    await expectNoneFailed("scaled to four listeners and back to one");
  });

  it("spreads the partitions over three senders, and hands those of one that is killed to the others within ten seconds", async () => {
    await scale("sender", 3);
    figure("partitions of three senders", (await untilShared(3)).join(", "));

    load = await underLoad(people, PER_SECOND);
    const [, , victim] = await containersOf("sender");
    const startedAt = performance.now();
    await docker("update", "--restart", "no", victim as string);
    await killHard(victim as string);
    try {
      const left = await waitFor(() => sharesOf(2), { what: "two senders to have all partitions", timeoutMs: 10_000 });
      figure("two senders have all partitions of a killed third", `after ${msSince(startedAt)}: ${left.join(", ")}`);
      figure("and share them evenly", `after ${msSince(startedAt)}: ${(await untilShared(2)).join(", ")}`);
    } finally {
      await docker("rm", "--force", victim as string);
    }
    await expectNoneFailed("a sender killed");
  });

  it("is upgraded one by one without failing a request, losing a message or changing an order", async () => {
    await scale("listener", 2);
    await scale("sender", 3);
    const before = [...(await containersOf("listener")), ...(await containersOf("sender"))];
    load = await underLoad(people, PER_SECOND);
    const startedAt = performance.now();
    await shell("infra/upgrade.sh");
    figure("upgraded two listeners and three senders", msSince(startedAt));
    await expectNoneFailed("upgraded under load");
    const after = [...(await containersOf("listener")), ...(await containersOf("sender"))];
    expect(after).toHaveLength(before.length);
    expect(after.filter((container) => before.includes(container))).toEqual([]);
    figure("partitions of three new senders", (await untilShared(3)).join(", "));
  });

  it("answers a flood from one address 429 with Retry-After, and serves another address as before", async () => {
    interface Report {
      statuses: Record<string, number>;
      medianMs: number;
      retryAfter?: string;
    }
    const NGINX = "https://nginx:5000/api/health/";
    const requests = async (service: string, url: string, perSecond: number, seconds: number): Promise<Report> =>
      JSON.parse(
        await compose("exec", "-T", service, "node", "/requests.mjs", url, String(perSecond), String(seconds)),
      ) as Report;
    /** The neighbour is well within its limit, and gets all it asks for. */
    const neighbour = async (): Promise<number> => {
      const { statuses, medianMs } = await requests("neighbour", NGINX, 40, 8);
      expect(statuses).toEqual({ 200: 320 });
      return medianMs;
    };
    // Beside a client that is as busy elsewhere: its own work takes from the same cores.
    const medians = { alone: [] as number[], elsewhere: [] as number[], flood: [] as number[] };
    for (let round = 0; round < 3; round += 1) {
      medians.alone.push(await neighbour());
      const elsewhere = requests("client", "http://receiver:9000/arrivals?from=1000000000", 400, 8);
      medians.elsewhere.push(await neighbour());
      await elsewhere;
      const flood = requests("client", NGINX, 400, 8);
      medians.flood.push(await neighbour());
      const { statuses, retryAfter } = await flood;
      expect(statuses["429"]).toBeGreaterThan(500);
      expect(statuses["200"]).toBeGreaterThan(500);
      expect(statuses["200"]).toBeLessThan(2_500);
      expect(retryAfter).toBe("1");
      figure("a flood is answered", JSON.stringify(statuses));
    }
    for (const [when, ms] of Object.entries(medians)) {
      figure(`another address' median, ${when}`, ms.map((one) => `${one.toFixed(2)} ms`).join(", "));
    }
  });
});
