import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { fillWithOldMessages, http, patiently, type Person, readUsage, send } from "@messenger/testkit";
import { sql } from "kysely";
import { untilRecorded, whileDelivering } from "../backlog.ts";
import { deploy, type Deployment } from "../deployment.ts";
import { writeRequests } from "../load/requests.ts";
import { runWrk } from "../load/wrk.ts";
import { percentileOf, type Sample } from "../measurements.ts";
import { signIn } from "../people.ts";
import type { Bench, Receiver, Scenario, Side } from "../scenario.ts";
import { addEndpoints, addRecipients, appendBacklog, appendConversations, type Recipient, TEXT } from "../world.ts";

const MILLION = 1_000_000;
const RECIPIENTS = 10_000;
const SENDERS = 16;
const MAILBOXES = 100_000;
/** Of one user, with so many messages in each. */
const CONVERSATIONS = 2_000;
const MESSAGES_EACH = 5;
const READS = 300;
/** Without a limit, Node lets garbage lie while there is memory; this is what it takes if it must. */
const SMALL_HEAP = "--max-old-space-size=300 --max-semi-space-size=16";

interface Grown {
  name: string;
  deployment: Deployment;
  recipients: readonly Recipient[];
  from: Recipient;
  url: string;
  requests: string;
  /** Has thousands of conversations. */
  reader: Person;
}

async function grow(bench: Bench, receiver: Receiver, messages: number): Promise<Grown> {
  const name = messages === 0 ? "empty" : `${messages / MILLION} million`;
  bench.step(`filling a database: ${name}`);
  const deployment = await deploy(bench);
  const inboxes = bench.quick ? 10_000 : MILLION;
  if (messages > 0) await patiently(deployment.databaseUrl, (db) => fillWithOldMessages(db, messages, inboxes));
  const recipients = await addRecipients(deployment.db, RECIPIENTS);
  await addEndpoints(deployment.db, recipients, (_, n) => receiver.addressOf(n));
  const listener = await deployment.startListener();
  const senders = await signIn(listener.url, SENDERS);
  const [reader] = (await signIn(listener.url, 1, () => receiver.addressOf(0))) as [Person];
  const [from] = await addRecipients(deployment.db, 1);
  const inbox = await sql<{ inbox: number }>`select id as inbox from inboxes where user_id = ${reader.id}`.execute(deployment.db);
  const own = { userId: reader.id, inbox: inbox.rows[0]?.inbox as number };
  await appendConversations(deployment.db, own, recipients.slice(0, CONVERSATIONS), MESSAGES_EACH);
  await patiently(deployment.databaseUrl, async (db) => void (await sql`vacuum analyze`.execute(db)));
  const requests = await writeRequests(senders, recipients);
  return { name, deployment, recipients, from: from as Recipient, url: listener.url, requests, reader };
}

function side(bench: Bench, receiver: Receiver, { name, deployment, recipients, from, url, requests }: Grown): Side {
  return {
    name,
    async run() {
      const { perSecond } = await runWrk({ url, requests, connections: 64, seconds: bench.quick ? 1 : 6 });
      // What that left behind is pushed first, by a sender that is not measured.
      const before = await receiver.count();
      const first = await deployment.startSender();
      await untilRecorded(deployment.db, 0);
      await first.kill("SIGTERM");
      const count = bench.quick ? 5_000 : 30_000;
      const broker = await deployment.openBroker();
      await appendBacklog(deployment.db, { from, recipients, count, broker });
      const started = await receiver.count();
      const sender = await deployment.startSender();
      const samples = await whileDelivering(receiver, started, count, {});
      await untilRecorded(deployment.db, 0);
      await sender.kill("SIGTERM");
      if (started < before) throw new Error("the receiver forgot what it had counted");
      return [{ metric: "accepted", unit: "1/s", value: perSecond }, ...samples];
    },
  };
}

/** What a user with thousands of conversations waits for, one request after the other. */
function reading({ name, recipients, url, reader }: Grown): Side {
  const { token } = reader;
  const timed = async (what: string, ask: (n: number) => Promise<{ status: number }>): Promise<Sample[]> => {
    const took = new Float64Array(READS);
    for (let n = -20; n < READS; n += 1) {
      const startedAt = performance.now();
      const { status } = await ask(n + 20);
      if (status !== 200) throw new Error(`${what} was answered ${status}`);
      if (n >= 0) took[n] = performance.now() - startedAt;
    }
    return [
      { metric: `${what}, p50`, unit: "ms", value: percentileOf(took, 0.5) },
      { metric: `${what}, p99`, unit: "ms", value: percentileOf(took, 0.99) },
    ];
  };
  return {
    name,
    async run() {
      const { json } = await http(`${url}/api/conversations?limit=100`, { token });
      const ids = (json["conversations"] as { conversation_id: number }[]).map(({ conversation_id }) => conversation_id);
      const idOf = (n: number): number => ids[n % ids.length] as number;
      const to = (n: number): Recipient => recipients[n % CONVERSATIONS] as Recipient;
      return [
        ...(await timed("list of conversations", () => http(`${url}/api/conversations`, { token }))),
        ...(await timed("one with its unread count", (n) => http(`${url}/api/conversations/${idOf(n)}`, { token }))),
        ...(await timed("page of a history", (n) => http(`${url}/api/conversations/${idOf(n)}/messages`, { token }))),
        ...(await timed("list of all messages", () => http(`${url}/api/messages`, { token }))),
        ...(await timed("sending", (n) => send(url, reader, { id: to(n).userId }, TEXT))),
      ];
    },
  };
}

/** The memory of a sender that has pushed to so many endpoints, and keeps their mailboxes. */
async function measureMailboxes(bench: Bench, receiver: Receiver): Promise<readonly Sample[]> {
  const count = bench.quick ? 5_000 : MAILBOXES;
  const deployment = await deploy(bench);
  try {
    const recipients = await addRecipients(deployment.db, count);
    await addEndpoints(deployment.db, recipients, (_, n) => receiver.addressOf(n));
    const [from] = await addRecipients(deployment.db, 1);
    const broker = await deployment.openBroker();
    const sender = await deployment.startSender({ MAX_MAILBOXES: String(count), NODE_OPTIONS: SMALL_HEAP });
    const atStart = await readUsage(sender.pid);
    await appendBacklog(deployment.db, { from: from as Recipient, recipients, count, broker });
    await untilRecorded(deployment.db, count);
    const settled = await readUsage(sender.pid);
    return [
      { metric: `memory with ${count} mailboxes`, unit: "MB", value: settled.residentBytes / 1e6 },
      { metric: "at most", unit: "MB", value: settled.peakBytes / 1e6 },
      { metric: "when it started", unit: "MB", value: atStart.residentBytes / 1e6 },
    ];
  } finally {
    await deployment.close();
  }
}

async function run(bench: Bench): Promise<void> {
  const receiver = await bench.servers.receiver();
  const grown: Grown[] = [];
  try {
    const sizes = bench.quick ? [0, 50_000] : [0, MILLION, 5 * MILLION];
    for (const messages of sizes) grown.push(await grow(bench, receiver, messages));
    const sides = grown.map((one) => side(bench, receiver, one));
    const readers = grown.map((one) => reading(one));
    await bench.inTurns("growth, reading", readers, { compared: readers.at(-1)?.name as string });
    await bench.inTurns("growth", sides, { compared: sides.at(-1)?.name as string });
    const mailboxes = { name: "sender", run: () => measureMailboxes(bench, receiver) };
    await bench.inTurns("growth, mailboxes", [mailboxes], { rounds: 1 });
  } finally {
    for (const { deployment, requests } of grown) {
      await deployment.close();
      await rm(dirname(requests), { recursive: true });
    }
  }
}

export const growth: Scenario = {
  name: "growth",
  about:
    "What a user with 2,000 conversations waits for, one request after the other; accepting (64 connections) and delivering (a backlog of 30,000 events) with no, 1 million and 5 million messages in the database, the latter in 1 million inboxes besides those that are written to; and the memory of a sender (with a heap limited to 300 MB) that keeps 100,000 mailboxes.",
  run,
};
