import { rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { needProgram, runCommand, startNginx } from "@messenger/testkit";
import { deploy, type Deployment } from "../deployment.ts";
import { writeRequests } from "../load/requests.ts";
import { runWrk } from "../load/wrk.ts";
import { type Sample, summarise } from "../measurements.ts";
import { signIn } from "../people.ts";
import { startPeer } from "../peers/start-peer.ts";
import type { Bench, Scenario, Side } from "../scenario.ts";
import { whileMeasuring } from "../usage.ts";
import { addRecipients, SECRET, TEXT } from "../world.ts";

const RECIPIENTS = 10_000;
const SENDERS = 64;
const CONNECTIONS = [1, 16, 64, 256];

/** One message, as one statement: what a database does for it at the least, with the same tables and indexes. */
const PGBENCH = (range: { first: number; last: number; sender: number }): string => `
\\set inbox random(${range.first}, ${range.last})
with moved as (
  update inboxes set head = head + 1 where id = :inbox::bigint returning id, head
), message as (
  insert into messages (id, conversation_id, sender_id, content, sent_at)
  values (gen_random_uuid(), :inbox::bigint, ${range.sender}, convert_to('${TEXT.padEnd(640, ".")}', 'UTF8'), now())
  returning id
), event as (
  insert into events (inbox_id, seq, id, kind, message_id)
  select moved.id, moved.head, message.id, 'message.created', message.id from moved, message
)
insert into outbox (inbox_ids) values (array[:inbox::bigint]);
`;

/** The rate that the load itself reaches, against an nginx that answers 200 to everything. */
async function ceilingOf(requests: string, seconds: number): Promise<number> {
  const empty = await startNginx(
    ({ port }) => `keepalive_requests 100000000; client_body_buffer_size 64k; server { listen ${port}; return 200 "ok"; }`,
  );
  try {
    return (await runWrk({ url: empty.url, requests, connections: 64, seconds })).perSecond;
  } finally {
    await empty.stop();
  }
}

async function runPgbench(deployment: Deployment, script: string, clients: number, seconds: number): Promise<number> {
  const pgbench = await needProgram("pgbench", "postgresql");
  const args = [
    "-n",
    "-M",
    "prepared",
    "-f",
    script,
    "-c",
    String(clients),
    "-j",
    "1",
    "-T",
    String(seconds),
    deployment.databaseUrl,
  ];
  const output = await runCommand(pgbench, args);
  return Number(/tps = ([\d.]+)/u.exec(output)?.[1]);
}

async function run(bench: Bench): Promise<void> {
  const seconds = bench.quick ? 2 : 8;
  const deployment = await deploy(bench);
  const listener = await deployment.startListener();
  const baseline = startPeer("peers/baseline-listener.ts", {
    DATABASE_URL: deployment.databaseUrl,
    AMQP_URL: deployment.amqpUrl,
    AMQP_NAMESPACE: deployment.namespace,
    MESSENGER_SECRET: SECRET,
  });
  let requests: string | undefined;
  try {
    const baselineUrl = await baseline.printed(/listening (http:\S+)/u);
    bench.step("making accounts");
    const recipients = await addRecipients(deployment.db, RECIPIENTS);
    const senders = await signIn(listener.url, SENDERS);
    requests = await writeRequests(senders, recipients);
    const script = join(dirname(requests), "pgbench.sql");
    const inboxes = recipients.map(({ inbox }) => inbox);
    const range = { first: Math.min(...inboxes), last: Math.max(...inboxes), sender: senders[0]?.id as number };
    await writeFile(script, PGBENCH(range));
    const [postgres, rabbit] = [await bench.servers.postgres(), await bench.servers.rabbit()];
    const ceiling = await ceilingOf(requests, seconds);

    const file = requests;
    const overHttp = (name: string, url: string, pid: number, connections: number): Side => ({
      name,
      async run() {
        const measured = { "the listener": pid, PostgreSQL: postgres.pid, RabbitMQ: rabbit.pid };
        const { value, samples } = await whileMeasuring(measured, () => runWrk({ url, requests: file, connections, seconds }));
        return [
          { metric: "accepted", unit: "1/s", value: value.perSecond },
          { metric: "p50", unit: "ms", value: value.p50 },
          { metric: "p99", unit: "ms", value: value.p99 },
          ...samples,
        ];
      },
    });

    bench.note(`The load (wrk) reaches ${Math.round(ceiling)} requests/s against an nginx that only answers.`);
    for (const connections of bench.quick ? [64] : CONNECTIONS) {
      const pgbench: Side = {
        name: "pgbench",
        async run(): Promise<readonly Sample[]> {
          const rate = await runPgbench(deployment, script, connections, seconds);
          return [{ metric: "accepted", unit: "1/s", value: rate }];
        },
      };
      const sides = [
        overHttp("Messenger", listener.url, listener.process.pid, connections),
        overHttp("baseline", baselineUrl, baseline.pid, connections),
        pgbench,
      ];
      const part = `accept, ${connections} connections`;
      const summaries = summarise(part, await bench.inTurns(part, sides, { compared: "Messenger" }));
      const own = summaries.find(({ side, metric }) => side === "Messenger" && metric === "p99");
      const usual = summaries.find(({ side, metric }) => side === "baseline" && metric === "p50");
      if (own !== undefined && usual !== undefined) {
        bench.note(
          `At ${connections} connections Messenger's p99 is ${(own.median / usual.median).toFixed(2)} times the baseline's p50.`,
        );
      }
    }
  } finally {
    await baseline.stop();
    await deployment.close();
    if (requests !== undefined) await rm(dirname(requests), { recursive: true });
  }
}

export const accept: Scenario = {
  name: "accept",
  about:
    "Messages sent by 64 signed-in users to 10,000 recipients over HTTP, each connection sending as soon as it is answered. Beside: the same API written the usual way (a transaction and an awaited confirm for each request), and pgbench with one statement that does the same writes.",
  run,
};
