import { createTokens } from "@messenger/listener";
import { createKeyring, systemClock, systemRandom } from "@messenger/core";
import { http, type Person, readUsage, send, waitFor } from "@messenger/testkit";
import { deploy } from "../deployment.ts";
import { openStreams, sendSteadily } from "../load/streams.ts";
import { percentileOf, type Sample } from "../measurements.ts";
import { signIn } from "../people.ts";
import { startPeer } from "../peers/start-peer.ts";
import type { Bench, Scenario, Side } from "../scenario.ts";
import { addRecipients, type Recipient, SECRET, TEXT } from "../world.ts";

const STREAMS = 10_000;
const PER_SECOND = 200;
const SENDERS = 16;
/** Of all streams, so many read nothing. */
const STALLED = 1;

/** What is measured of streams, however they are made. */
interface Service {
  /** The process whose memory is measured. */
  pid: number;
  streamOf(n: number): { url: string; headers?: Record<string, string> };
  /** Sends a message to whoever has the n-th stream; returns its id. */
  sendTo(n: number, message: number): Promise<string>;
}

/** From the answer to the arrival, at streams that get messages in turns; and what a stream takes. */
async function measure(
  service: Service,
  options: { streams: number; stalled: number; perSecond: number; seconds: number },
): Promise<Sample[]> {
  const { streams, stalled, perSecond, seconds } = options;
  const before = await readUsage(service.pid);
  const open = await openStreams(streams, (n) => service.streamOf(n), stalled);
  try {
    await sendSteadily(perSecond, 2, (n) => service.sendTo(n % streams, n)); // warms up
    const idle = await readUsage(service.pid);
    const answered = await sendSteadily(perSecond, seconds, (n) => service.sendTo((n * 7919) % streams, n));
    const expected = [...answered].filter((_, n) => (n * 7919) % streams >= stalled);
    await waitFor(() => expected.every(([id]) => open.arrivals.has(id)), { what: "all to arrive" });
    const took = Float64Array.from(expected, ([id, at]) => Math.max(0, (open.arrivals.get(id) as number) - at));
    return [
      { metric: "p50 from answer to arrival", unit: "ms", value: percentileOf(took, 0.5) },
      { metric: "p99 from answer to arrival", unit: "ms", value: percentileOf(took, 0.99) },
      { metric: "memory of a stream", unit: "KB", value: (idle.residentBytes - before.residentBytes) / 1000 / streams },
    ];
  } finally {
    open.close();
  }
}

/** Streams at one listener, messages accepted by another. */
async function startMessenger(bench: Bench, streams: number): Promise<{ service: Service; close(): Promise<void> }> {
  const deployment = await deploy(bench);
  const following = await deployment.startListener({ MAX_STREAMS: String(streams + 100) });
  const accepting = await deployment.startListener();
  const recipients = await addRecipients(deployment.db, streams);
  const keys = createKeyring({ secret: SECRET, random: systemRandom }).tokenKeys;
  const tokens = createTokens({ keys, ttlSeconds: 3600, clock: systemClock, random: systemRandom });
  const own = await Promise.all(
    recipients.map(({ userId }, n) => tokens.sign({ userId, sessionId: 1_000_000 + n, name: `r${userId}`, role: "user" })),
  );
  const senders = await signIn(accepting.url, SENDERS);
  const service: Service = {
    pid: following.process.pid,
    streamOf: (n) => ({ url: `${following.url}/api/events/stream`, headers: { authorization: `Bearer ${own[n] as string}` } }),
    async sendTo(n, message) {
      const { userId } = recipients[n] as Recipient;
      const answer = await send(accepting.url, senders[message % SENDERS] as Person, { id: userId }, TEXT);
      if (answer.status !== 200) throw new Error(`a message was answered ${answer.status}`);
      return answer.json["message_id"] as string;
    },
  };
  return { service, close: () => deployment.close() };
}

async function startPlain(): Promise<{ service: Service; close(): Promise<void> }> {
  const peer = startPeer("peers/plain-streams.ts", {});
  const url = await peer.printed(/listening (http:\S+)/u);
  const service: Service = {
    pid: peer.pid,
    streamOf: (n) => ({ url: `${url}/stream?user=${n}` }),
    async sendTo(n, message) {
      const id = `00000000-0000-7000-8000-${message.toString(16).padStart(12, "0")}`;
      const data = JSON.stringify({ seq: message, id, type: "message.created", message_id: id, message: TEXT });
      await http(`${url}/send?user=${n}`, { body: `id: ${message}\nevent: message.created\ndata: ${data}\n\n` });
      return id;
    },
  };
  return { service, close: () => peer.stop() };
}

async function run(bench: Bench): Promise<void> {
  const seconds = bench.quick ? 3 : 20;
  const part = async (name: string, options: { streams: number; stalled: number; perSecond: number }): Promise<void> => {
    const side = (what: string, start: () => ReturnType<typeof startPlain>): Side => ({
      name: what,
      async run() {
        const started = await start();
        try {
          return await measure(started.service, { ...options, seconds });
        } finally {
          await started.close();
        }
      },
    });
    const sides = [side("Messenger", () => startMessenger(bench, options.streams)), side("a plain EventEmitter", startPlain)];
    await bench.inTurns(`streams, ${name}`, sides, { compared: "Messenger" });
  };
  await part("one, idle", { streams: 1, stalled: 0, perSecond: 5 });
  const streams = bench.quick ? 1_000 : STREAMS;
  await part(`${streams}`, { streams, stalled: STALLED, perSecond: PER_SECOND });
}

export const streams: Scenario = {
  name: "streams",
  about:
    "Event streams at one listener, while another one accepts messages for those who follow: how long they take from the answer to their arrival with one stream and 5 messages/s, and with 10,000 streams, one of which reads nothing, and 200 messages/s; and the memory that each stream takes. Beside: one process that writes the same bytes to the same streams by an EventEmitter, keeps nothing, and asks nobody.",
  run,
};
