import { availableParallelism } from "node:os";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { sql } from "kysely";
import { untilRecorded, whileDelivering } from "../backlog.ts";
import { deploy, type RunningListener } from "../deployment.ts";
import { writeRequests } from "../load/requests.ts";
import { runWrk } from "../load/wrk.ts";
import type { Sample } from "../measurements.ts";
import { signIn } from "../people.ts";
import type { Bench, Scenario, Side } from "../scenario.ts";
import { whileMeasuring } from "../usage.ts";
import { addEndpoints, addRecipients, appendBacklog, type Recipient } from "../world.ts";

const RECIPIENTS = 10_000;
const SENDERS = 64;
const CONNECTIONS = 64;
const REPLICAS = [1, 2, 4];

async function measure(bench: Bench, replicas: number): Promise<readonly Sample[]> {
  const receiver = await bench.servers.receiver();
  const [postgres, rabbit] = [await bench.servers.postgres(), await bench.servers.rabbit()];
  const deployment = await deploy(bench);
  let requests: string | undefined;
  try {
    const recipients = await addRecipients(deployment.db, RECIPIENTS);
    const listeners: RunningListener[] = [];
    for (let n = 0; n < replicas; n += 1) listeners.push(await deployment.startListener());
    const senders = await signIn(listeners[0]?.url as string, SENDERS);
    requests = await writeRequests(senders, recipients);
    const file = requests;
    const seconds = bench.quick ? 1 : 6;
    const connections = CONNECTIONS / replicas;
    const servers = { PostgreSQL: postgres.pid, RabbitMQ: rabbit.pid };
    const pids = Object.fromEntries(listeners.map(({ process }, n) => [`listener ${n + 1}`, process.pid]));
    const { value, samples } = await whileMeasuring({ ...pids, ...servers }, async () => {
      const runs = await Promise.all(listeners.map(({ url }) => runWrk({ url, requests: file, connections, seconds })));
      return {
        count: runs.reduce((sum, { count }) => sum + count, 0),
        perSecond: runs.reduce((sum, { perSecond }) => sum + perSecond, 0),
      };
    });
    const cpu = samples.filter(({ unit }) => unit === "s").reduce((sum, one) => sum + one.value, 0);

    // Endpoints only now, at the end of what was accepted: delivering begins with a backlog of its own.
    const [from] = await addRecipients(deployment.db, 1);
    await sql`update inboxes set floor = head`.execute(deployment.db);
    await addEndpoints(deployment.db, recipients, (_, n) => receiver.addressOf(n));
    await sql`update endpoints e set cursor = b.head from inboxes b where b.id = e.inbox_id`.execute(deployment.db);
    const emptied = await deployment.startSender(); // what is in the queue is level, and goes
    await deployment.untilQueuesAreEmpty();
    await emptied.kill("SIGTERM");
    const count = bench.quick ? 5_000 : 50_000;
    const broker = await deployment.openBroker();
    await appendBacklog(deployment.db, { from: from as Recipient, recipients, count, broker });
    const before = await receiver.count();
    const workers = [];
    for (let n = 0; n < replicas; n += 1) workers.push(deployment.startSender());
    const started = await Promise.all(workers);
    const senderPids = Object.fromEntries(started.map(({ pid }, n) => [`sender ${n + 1}`, pid]));
    const delivered = await whileDelivering(receiver, before, count, { ...senderPids, ...servers });
    await untilRecorded(deployment.db, count);
    const deliverCpu = delivered.filter(({ unit }) => unit === "s").reduce((sum, one) => sum + one.value, 0);
    return [
      { metric: "accepted", unit: "1/s", value: value.perSecond },
      { metric: "CPU to accept, all processes, each 1,000", unit: "s", value: cpu },
      ...delivered.filter(({ metric }) => metric === "delivered"),
      { metric: "CPU to deliver, all processes, each 1,000", unit: "s", value: deliverCpu },
    ];
  } finally {
    await deployment.close();
    if (requests !== undefined) await rm(dirname(requests), { recursive: true });
  }
}

async function run(bench: Bench): Promise<void> {
  const sides: Side[] = REPLICAS.map((replicas) => ({ name: `${replicas} of each`, run: () => measure(bench, replicas) }));
  bench.note(
    `All of it ran on ${availableParallelism()} cores: where those are few, more replicas have no more to work with, and what is seen is what each of them costs.`,
  );
  await bench.inTurns("scale", sides, { compared: `${REPLICAS.at(-1)} of each` });
}

export const scale: Scenario = {
  name: "scale",
  about:
    "1, 2 and 4 listeners accepting from 64 connections together, and as many senders pushing a backlog of 50,000 events: the rates, and the CPU time of all processes together (listeners or senders, PostgreSQL and RabbitMQ).",
  run,
};
