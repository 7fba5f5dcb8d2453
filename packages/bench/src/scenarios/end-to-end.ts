import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { deploy } from "../deployment.ts";
import { highestRate, type OpenLoop, openLoop } from "../load/end-to-end.ts";
import { writeRequests } from "../load/requests.ts";
import type { Sample } from "../measurements.ts";
import { signIn } from "../people.ts";
import { startPeer } from "../peers/start-peer.ts";
import type { Bench, Scenario, Side } from "../scenario.ts";
import { type Measured, whileMeasuring } from "../usage.ts";
import { addEndpoints, addRecipients, SECRET } from "../world.ts";

const RECIPIENTS = 10_000;
const SENDERS = 64;

/** The highest rate of a deployment, and what it takes at half of that. */
export async function measureEndToEnd(bench: Bench, loop: OpenLoop, url: string, measured: Measured): Promise<Sample[]> {
  const seconds = bench.quick ? 1.5 : 5;
  await loop.run({ url, perSecond: 300, seconds }); // warms up
  const highest = await highestRate(loop, url, { seconds, quick: bench.quick });
  const { value, samples } = await whileMeasuring(measured, async () => {
    const arrivals = await loop.run({ url, perSecond: highest / 2, seconds: seconds * 2 });
    if (arrivals.failed > 0) throw new Error(`${arrivals.failed} requests failed at half of the highest rate`);
    return { ...arrivals, count: arrivals.answered };
  });
  return [
    { metric: "highest rate", unit: "1/s", value: highest },
    { metric: "p50 at half of it", unit: "ms", value: value.p50 },
    { metric: "p99 at half of it", unit: "ms", value: value.p99 },
    ...samples,
  ];
}

/** A deployment with a listener, a sender and 10,000 endpoints, and load for it. */
async function withDeployment(
  bench: Bench,
  run: (parts: { url: string; measured: Measured; loop: OpenLoop }) => Promise<readonly Sample[]>,
  naive: boolean,
): Promise<readonly Sample[]> {
  const receiver = await bench.servers.receiver();
  const [postgres, rabbit] = [await bench.servers.postgres(), await bench.servers.rabbit()];
  const deployment = await deploy(bench);
  const closing: (() => Promise<unknown>)[] = [() => deployment.close()];
  try {
    const recipients = await addRecipients(deployment.db, RECIPIENTS);
    await addEndpoints(deployment.db, recipients, (_, n) => receiver.addressOf(n, "timed"));
    const listener = await deployment.startListener();
    const senders = await signIn(listener.url, SENDERS);
    const requests = await writeRequests(senders, recipients);
    closing.push(() => rm(dirname(requests), { recursive: true }));
    const loop = await openLoop(receiver, requests);
    closing.push(() => loop.close());
    const servers = { PostgreSQL: postgres.pid, RabbitMQ: rabbit.pid };
    if (!naive) {
      const sender = await deployment.startSender();
      return await run({
        url: listener.url,
        loop,
        measured: { "the listener": listener.process.pid, "the sender": sender.pid, ...servers },
      });
    }
    const settings = {
      DATABASE_URL: deployment.databaseUrl,
      AMQP_URL: deployment.amqpUrl,
      AMQP_NAMESPACE: deployment.namespace,
      MESSENGER_SECRET: SECRET,
    };
    const baseline = startPeer("peers/baseline-listener.ts", settings);
    closing.push(() => baseline.stop());
    const worker = startPeer("peers/naive-sender.ts", settings);
    closing.push(() => worker.stop());
    const url = await baseline.printed(/listening (http:\S+)/u);
    await worker.printed(/working/u);
    return await run({ url, loop, measured: { "the listener": baseline.pid, "the sender": worker.pid, ...servers } });
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

async function run(bench: Bench): Promise<void> {
  const side = (name: string, naive: boolean): Side => ({
    name,
    run: () => withDeployment(bench, ({ url, loop, measured }) => measureEndToEnd(bench, loop, url, measured), naive),
  });
  const sides = [side("Messenger", false), side("baseline and naive sender", true)];
  await bench.inTurns("end-to-end", sides, { compared: "Messenger" });
}

export const endToEnd: Scenario = {
  name: "end-to-end",
  about:
    "Messages sent at rising rates, whatever the answers do (open loop), by 64 users to 10,000 recipients, with one listener and one sender: the highest rate at which 99 % arrive within 250 ms of when they were to be sent, and how long they take at half of it. Beside: the baseline listener, and a sender that reads, pushes, records and acknowledges each message by itself.",
  run,
};
