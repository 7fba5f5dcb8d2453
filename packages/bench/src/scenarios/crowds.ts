import { globalAgent } from "node:http";
import type { ServiceProcess } from "@messenger/testkit";
import type { Crowd } from "../crowds/orders.ts";
import { type MakeOthers, ownerOfAccount, peopleAtHome, peopleFromElsewhere, peopleWhoSend } from "../crowds/others.ts";
import { besideCrowd } from "../crowds/start-crowd.ts";
import { deploy } from "../deployment.ts";
import { steadily } from "../load/steadily.ts";
import { medianOf, percentileOf, type Sample } from "../measurements.ts";
import type { Bench, Scenario, Side } from "../scenario.ts";
import { whileMeasuring } from "../usage.ts";

interface Part {
  name: string;
  /** What the others do, as it is called in the report. */
  requests: string;
  perSecond: number;
  others: MakeOthers;
  crowd(usernames: readonly string[]): Crowd;
  /** The p99 of the others beside the crowd is to be at most so many times the usual one. */
  aim?: number;
  /** How long the others are measured; 8 s in a quick run. */
  seconds: number;
  /** Settings of the listener. */
  settings: Record<string, string>;
  /** Whether each of the others' requests must succeed. */
  allSucceed: boolean;
}

const PROXIED = { TRUSTED_PROXIES: "127.0.0.0/8" };
const SMALL_HEAP = { NODE_OPTIONS: "--max-old-space-size=256" };

const signUps = {
  requests: "log-ins",
  perSecond: 5,
  seconds: 60,
  others: peopleFromElsewhere,
  aim: 3,
  settings: PROXIED,
  allSucceed: true,
};
const messages = {
  requests: "messages",
  perSecond: 100,
  seconds: 30,
  others: peopleWhoSend,
  aim: 2,
  settings: SMALL_HEAP,
  allSucceed: false,
};

const PARTS: readonly Part[] = [
  { ...signUps, name: "sign-ups", crowd: () => ({ kind: "sign-ups", atATime: 120, network: "203.0.113.7" }) },
  // `SIGN_UPS_PER_HOUR` does not hold for loopback, so passwords are hashed for this crowd all the time.
  { ...signUps, name: "sign-ups without a limit", crowd: () => ({ kind: "sign-ups", atATime: 120, network: "127.0.0.1" }) },
  {
    name: "guesses",
    requests: "log-ins of the owner",
    perSecond: 1,
    seconds: 60,
    others: ownerOfAccount,
    crowd: (usernames) => ({ kind: "guesses", usernames, perSecond: 300, networks: 1_000, signsUp: false }),
    settings: PROXIED,
    allSucceed: true,
  },
  {
    ...signUps,
    name: "sign-ups and guesses",
    others: peopleAtHome,
    aim: 2,
    crowd: (usernames) => ({ kind: "guesses", usernames, perSecond: 300, networks: 1_000, signsUp: true }),
  },
  { ...messages, name: "pipelined", crowd: () => ({ kind: "pipelined", clients: 4, bytes: 4 * 1024 * 1024 }) },
  { ...messages, name: "idle and slow", crowd: () => ({ kind: "idle and slow", idle: 2_000, slow: 500 }) },
];

const USUAL = "usual";
const BESIDE = "beside the crowd";
const QUICK_SECONDS = 8;

const listed = (counts: Iterable<readonly [string, number]>): string =>
  Array.from(counts, ([what, count]) => `${count} × ${what}`).join(", ") || "nothing";

async function measure(bench: Bench, part: Part, isCrowded: boolean): Promise<readonly Sample[]> {
  const deployment = await deploy(bench);
  let listener: ServiceProcess | undefined;
  let exitCode: number | null | undefined;
  try {
    const { url, process } = await deployment.startListener(part.settings);
    listener = process;
    void process.exited.then((code) => (exitCode = code));
    const others = await part.others(deployment, url);
    const first = part.perSecond;
    for (let n = 0; n < first; n += 1) await others.ask(n); // warms up
    const crowd = isCrowded ? part.crowd(others.usernames) : undefined;
    const seconds = bench.quick ? QUICK_SECONDS : part.seconds;
    const { value, outcome } = await besideCrowd(url, crowd, () =>
      whileMeasuring({ "the listener": process.pid }, async () => {
        const steady = await steadily({ perSecond: part.perSecond, seconds, ask: (n) => others.ask(first + n) });
        return { ...steady, count: steady.asked };
      }),
    );
    if (exitCode !== undefined) throw new Error("the listener is gone");
    const { asked, took, failures } = value.value;
    if (outcome !== undefined) bench.note(`What became of the crowd of ${part.name}: ${listed(Object.entries(outcome))}.`);
    if (failures.size > 0) bench.note(`Failed ${part.requests} of ${part.name}: ${listed(failures)}.`);
    return [
      { metric: `p99 of ${part.requests}`, unit: "ms", value: percentileOf(took, 0.99) },
      { metric: `p50 of ${part.requests}`, unit: "ms", value: percentileOf(took, 0.5) },
      { metric: `failed ${part.requests}`, unit: "", value: asked - took.length },
      ...value.samples.filter(({ unit }) => unit === "MB"),
    ];
  } catch (cause) {
    if (exitCode === undefined) throw cause;
    throw new Error(`the listener ended with ${exitCode}: ${listener?.output.slice(-1_000)}`, { cause });
  } finally {
    globalAgent.destroy(); // a listener that is to end waits for connections that are kept alive
    await deployment.close();
  }
}

/**
 * Measures a part, and says how far it is from its aim. @throws where requests failed that must succeed, or
 * the listener ended.
 */
async function runPart(bench: Bench, part: Part): Promise<void> {
  const label = `crowds, ${part.name}`;
  const side = (name: string, isCrowded: boolean): Side => ({ name, run: () => measure(bench, part, isCrowded) });
  const rounds = await bench.inTurns(label, [side(USUAL, false), side(BESIDE, true)], { compared: BESIDE });
  const valuesOf = (name: string, metric: string): number[] =>
    rounds.flatMap((round) => (round.get(name) ?? []).filter((one) => one.metric === metric).map(({ value }) => value));

  const failed = [USUAL, BESIDE].flatMap((name) => valuesOf(name, `failed ${part.requests}`)).reduce((sum, n) => sum + n, 0);
  const p99 = `p99 of ${part.requests}`;
  const beside = valuesOf(BESIDE, p99);
  const ratio = medianOf(valuesOf(USUAL, p99).map((usual, n) => (beside[n] as number) / usual));
  if (part.aim !== undefined) {
    const met = ratio <= part.aim && failed === 0 ? "met" : "missed";
    const failures = failed === 0 ? "" : `, and ${failed} failed`;
    bench.note(
      `Aim of ${part.name}: ${p99} at most ${part.aim} × the usual one. It is ${ratio.toFixed(2)} ×${failures}: ${met}.`,
    );
  }
  if (part.allSucceed && failed > 0) throw new Error(`${failed} ${part.requests} with the right password failed`);
}

async function run(bench: Bench): Promise<void> {
  const failures: unknown[] = [];
  const reasons: string[] = [];
  for (const part of PARTS) {
    try {
      await runPart(bench, part);
    } catch (error) {
      failures.push(error);
      reasons.push(`${part.name}: ${(error as Error).message}`);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, reasons.join("; "));
}

export const crowds: Scenario = {
  name: "crowds",
  about:
    "What a crowd does to others, each time against a listener of its own. Log-ins with the right password (5/s, each from a new network) beside 120 sign-ups at a time from one address, which is held to SIGN_UPS_PER_HOUR, or is not. Log-ins of an owner (1/s, from a familiar network) beside 300 wrong passwords a second from 1,000 networks. Log-ins of eight people (5/s, from familiar networks) beside 300 requests a second from 1,000 networks, which guess at these accounts and sign up in turns. 100 messages/s, until they are answered, at a listener with a heap of 256 MB: beside 4 clients that write 4 MiB of pipelined requests, read no answer, and come again a second after they were ended; and beside 2,000 idle connections and 500 that send a byte a second. The crowd is a process of a lower priority.",
  run,
};
