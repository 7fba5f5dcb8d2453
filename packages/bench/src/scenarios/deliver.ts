import { createTestDatabase } from "@messenger/testkit";
import { composeBody } from "@messenger/channels";
import { Queue } from "bullmq";
import { makeWorkerUtils } from "graphile-worker";
import { Redis } from "ioredis";
import { sql } from "kysely";
import { PgBoss } from "pg-boss";
import { untilRecorded, whileDelivering } from "../backlog.ts";
import { deploy } from "../deployment.ts";
import { startPeer } from "../peers/start-peer.ts";
import type { PushJob } from "../peers/push-client.ts";
import type { Bench, Receiver, Scenario, Side } from "../scenario.ts";
import { addEndpoints, addRecipients, appendBacklog, messageContent } from "../world.ts";

const ENDPOINTS = 10_000;
const EVENTS = 100_000;
const QUICK_EVENTS = 10_000;

/** Jobs with the very bodies that Messenger would push. */
function* jobs(receiver: Receiver, count: number): Generator<PushJob> {
  for (let n = 0; n < count; n += 1) {
    const to = n % ENDPOINTS;
    const { id, plain } = messageContent({ userId: 1 }, { userId: to });
    const event = {
      inbox: to,
      seq: Math.floor(n / ENDPOINTS) + 1,
      version: 0,
      id,
      kind: "message.created" as const,
      messageId: id,
      conversation: to,
      createdAt: new Date().toISOString(),
    };
    yield { url: receiver.addressOf(to), id, body: composeBody({ event, content: plain, receiver: to }).toString() };
  }
}

const AT_ONCE = 1_000;

async function inChunks(all: Iterable<PushJob>, add: (chunk: PushJob[]) => Promise<unknown>): Promise<void> {
  let chunk: PushJob[] = [];
  for (const job of all) {
    chunk.push(job);
    if (chunk.length < AT_ONCE) continue;
    await add(chunk);
    chunk = [];
  }
  if (chunk.length > 0) await add(chunk);
}

function messenger(bench: Bench, receiver: Receiver, count: number): Side {
  return {
    name: "Messenger",
    async run() {
      const deployment = await deploy(bench);
      try {
        const [from] = await addRecipients(deployment.db, 1);
        const recipients = await addRecipients(deployment.db, ENDPOINTS);
        await addEndpoints(deployment.db, recipients, (_, n) => receiver.addressOf(n));
        const broker = await deployment.openBroker();
        await appendBacklog(deployment.db, { from: from as NonNullable<typeof from>, recipients, count, broker });
        await broker.close();
        await sql`vacuum analyze`.execute(deployment.db);
        const before = await receiver.count();
        const sender = await deployment.startSender();
        const samples = await whileDelivering(receiver, before, count, {
          "the worker": sender.pid,
          "the receiver": receiver.server.pid,
          PostgreSQL: (await bench.servers.postgres()).pid,
          "RabbitMQ or Redis": (await bench.servers.rabbit()).pid,
        });
        await untilRecorded(deployment.db, count);
        return samples;
      } finally {
        await deployment.close();
      }
    },
  };
}

function bullmq(bench: Bench, receiver: Receiver, count: number): Side {
  return {
    name: "BullMQ",
    async run() {
      const redis = await bench.servers.redis();
      const connection = new Redis(redis.url);
      const queue = new Queue<PushJob>("pushes", { connection });
      await inChunks(jobs(receiver, count), (chunk) => queue.addBulk(chunk.map((data) => ({ name: "push", data }))));
      const before = await receiver.count();
      const worker = startPeer("peers/bullmq-worker.ts", { REDIS_URL: redis.url });
      try {
        return await whileDelivering(receiver, before, count, {
          "the worker": worker.pid,
          "the receiver": receiver.server.pid,
          "RabbitMQ or Redis": redis.pid,
        });
      } finally {
        await worker.stop();
        await queue.obliterate({ force: true });
        await queue.close();
        connection.disconnect();
      }
    },
  };
}

/** A queue in PostgreSQL: how it is filled, and which worker empties it. */
function onPostgres(
  bench: Bench,
  receiver: Receiver,
  count: number,
  peer: { name: string; file: string; settings?: Record<string, string>; fill(url: string): Promise<void> },
): Side {
  return {
    name: peer.name,
    async run() {
      const postgres = await bench.servers.postgres();
      const database = await createTestDatabase(postgres.url);
      try {
        await peer.fill(database.url);
        await sql`vacuum analyze`.execute(database.store.db);
        const before = await receiver.count();
        const worker = startPeer(peer.file, { DATABASE_URL: database.url, ...peer.settings });
        try {
          return await whileDelivering(receiver, before, count, {
            "the worker": worker.pid,
            "the receiver": receiver.server.pid,
            PostgreSQL: postgres.pid,
          });
        } finally {
          await worker.stop();
        }
      } finally {
        await database.drop();
      }
    },
  };
}

async function run(bench: Bench): Promise<void> {
  const count = bench.quick ? QUICK_EVENTS : EVENTS;
  const receiver = await bench.servers.receiver();

  async function fillGraphile(connectionString: string): Promise<void> {
    const utils = await makeWorkerUtils({ connectionString });
    await utils.migrate();
    await inChunks(jobs(receiver, count), (chunk) => utils.addJobs(chunk.map((payload) => ({ identifier: "push", payload }))));
    await utils.release();
  }
  async function fillPgBoss(connectionString: string): Promise<void> {
    const boss = new PgBoss({ connectionString, supervise: false, schedule: false });
    await boss.start();
    await boss.createQueue("pushes");
    await inChunks(jobs(receiver, count), (chunk) =>
      boss.insert(
        "pushes",
        chunk.map((data) => ({ data })),
      ),
    );
    await boss.stop({ graceful: false });
  }

  const graphile = { file: "peers/graphile-worker.ts", fill: fillGraphile };
  bench.note(
    "Messenger unseals and signs every push, keeps the order of each inbox, and records every attempt in PostgreSQL; the others push the bodies that they were given, in no order, and keep nothing of those that succeeded.",
  );
  const sides = [
    messenger(bench, receiver, count),
    bullmq(bench, receiver, count),
    onPostgres(bench, receiver, count, { ...graphile, name: "graphile-worker, tuned", settings: { TUNED: "1" } }),
    onPostgres(bench, receiver, count, { ...graphile, name: "graphile-worker" }),
    onPostgres(bench, receiver, count, { name: "pg-boss", file: "peers/pg-boss-worker.ts", fill: fillPgBoss }),
  ];
  await bench.inTurns("deliver", sides, { compared: "Messenger" });
}

export const deliver: Scenario = {
  name: "deliver",
  about:
    "A backlog of 100,000 events (a quick run: 10,000) to 10,000 endpoints, pushed by one worker process to an nginx that answers 204, 256 at a time. Beside: BullMQ on Redis, graphile-worker as it comes and tuned, and pg-boss, which push the same bodies with the same HTTP client. Counted from the first push to the last.",
  run,
};
