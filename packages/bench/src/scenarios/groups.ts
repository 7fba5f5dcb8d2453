import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { http, type Person } from "@messenger/testkit";
import { sql } from "kysely";
import { deploy } from "../deployment.ts";
import { writeRequests, writeRequestsTo } from "../load/requests.ts";
import { runWrk } from "../load/wrk.ts";
import { signIn } from "../people.ts";
import type { Bench, Scenario, Side } from "../scenario.ts";
import { whileMeasuring } from "../usage.ts";
import { addRecipients, type Recipient } from "../world.ts";

const PEOPLE = 1_000;
const GROUPS = 100;
const MEMBERS = 256;
const SENDERS = 16;
const CONNECTIONS = 16;
const DIRECT_CONNECTIONS = 64;

/** A group of the sender and of others, who overlap with those of other groups. */
async function makeGroup(url: string, sender: Person, others: readonly Recipient[]): Promise<number> {
  const body = { title: "bench", member_ids: others.map(({ userId }) => userId) };
  const made = await http(`${url}/api/conversations/`, { body, token: sender.token });
  if (made.status !== 201) throw new Error(`a group was answered ${made.status} ${made.text}`);
  return (made.json["conversation"] as { conversation_id: number }).conversation_id;
}

async function run(bench: Bench): Promise<void> {
  const deployment = await deploy(bench);
  const files: string[] = [];
  try {
    const listener = await deployment.startListener();
    const [postgres, rabbit] = [await bench.servers.postgres(), await bench.servers.rabbit()];
    const measured = { "the listener": listener.process.pid, PostgreSQL: postgres.pid, RabbitMQ: rabbit.pid };
    bench.step("making groups");
    const people = await addRecipients(deployment.db, PEOPLE);
    const senders = await signIn(listener.url, SENDERS);
    const groups: { id: number; token: string }[] = [];
    for (let n = 0; n < GROUPS; n += 1) {
      const sender = senders[n % SENDERS] as Person;
      const others = Array.from({ length: MEMBERS - 1 }, (_, m) => people[(n * 37 + m) % PEOPLE] as Recipient);
      groups.push({ id: await makeGroup(listener.url, sender, others), token: sender.token });
    }
    const seconds = bench.quick ? 2 : 8;
    const total = async (): Promise<number> => {
      const { rows } = await sql<{ total: number }>`select sum(head)::bigint as total from inboxes`.execute(deployment.db);
      return rows[0]?.total ?? 0;
    };
    const side = (name: string, requests: string, connections: number): Side => ({
      name,
      async run() {
        const { value, samples } = await whileMeasuring(measured, async () => {
          const before = await total();
          const sent = await runWrk({ url: listener.url, requests, connections, seconds });
          const count = (await total()) - before;
          return { ...sent, count, events: (count * sent.perSecond) / sent.count };
        });
        return [
          { metric: "events", unit: "1/s", value: value.events },
          { metric: "p99 of a message", unit: "ms", value: value.p99 },
          ...samples,
        ];
      },
    });
    files.push(await writeRequestsTo(groups), await writeRequests(senders, people));
    const [toGroups, direct] = files as [string, string];
    const sides = [side("groups of 256", toGroups, CONNECTIONS), side("direct", direct, DIRECT_CONNECTIONS)];
    await bench.inTurns("groups", sides, { compared: "groups of 256" });
    const { rows } = await sql<{ gaps: number }>`
      select count(*) as gaps from (
        select b.id from inboxes b left join events e on e.inbox_id = b.id group by b.id, b.head having count(e.seq) <> b.head
      ) as wrong
    `.execute(deployment.db);
    if (rows[0]?.gaps !== 0) throw new Error(`${rows[0]?.gaps} inboxes have gaps`);
  } finally {
    await deployment.close();
    for (const file of files) await rm(dirname(file), { recursive: true });
  }
}

export const groups: Scenario = {
  name: "groups",
  about:
    "Events appended a second by messages to 100 groups of 256 overlapping members (16 connections), and by direct messages (64 connections); and the CPU time that 1,000 events take. No inbox has a gap afterwards.",
  run,
};
