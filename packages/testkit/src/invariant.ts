import { unbundle } from "@messenger/broker";
import { createKeyring, systemRandom } from "@messenger/core";
import type { Db } from "@messenger/store";
import { connect } from "amqplib";
import { sql } from "kysely";
import { waitFor } from "./wait-for.ts";

/** An event that an active endpoint has not taken, and that nothing covers: it would be lost. */
export interface Uncovered {
  endpoint: number;
  inbox: number;
  seq: number;
}

interface Behind {
  endpoint: number;
  inbox: number;
  cursor: number;
  head: number;
  replaying: boolean;
}

interface Queues {
  amqpUrl: string;
  namespace: string;
  partitions: number;
  /** The deployment's. */
  secret: string;
}

interface Queued {
  events: Set<string>;
  wakes: Set<number>;
}

/**
 * Reads what is in the partition queues, and gives all of it back: consumes without acknowledging, until no
 * message is left in them that was not seen. (A quorum queue with a single active consumer does not support
 * `basic.get`.)
 */
async function readQueues({ amqpUrl, namespace, partitions, secret }: Queues): Promise<Queued> {
  const { bundles: sealer } = createKeyring({ secret, random: systemRandom });
  const queued: Queued = { events: new Set(), wakes: new Set() };
  const connection = await connect(amqpUrl);
  try {
    const channel = await connection.createChannel();
    // A queue that is missing closes the channel: what is under way rejects, which says so.
    for (const emitter of [connection, channel]) emitter.on("error", () => undefined);
    const queues = Array.from({ length: partitions }, (_, partition) => `${namespace}.push.${partition}`);
    for (const queue of queues) await channel.checkQueue(queue);
    for (const [partition, queue] of queues.entries()) {
      await waitFor(async () => (await channel.checkQueue(queue)).consumerCount === 0, {
        what: "the senders' consumers to be gone",
      });
      await channel.consume(queue, (message) => {
        if (message === null) return;
        for (const one of unbundle(message.properties.type, message.content, { partition, partitions, sealer }).messages) {
          if (one.type === "wake") queued.wakes.add(one.inbox);
          else queued.events.add(`${one.inbox}/${one.seq}`);
        }
      });
      await waitFor(async () => (await channel.checkQueue(queue)).messageCount === 0, { what: "a queue to be read" });
    }
  } finally {
    await connection.close().catch(() => undefined); // what was not acknowledged goes back; a connection that was lost is closed
  }
  return queued;
}

/**
 * Checks the invariant: every event that an active endpoint has not taken is covered by an outbox row, a
 * broker message, or a due time. A queue that is missing has nothing to be checked yet: what it held is
 * covered before it is made again. All senders must have stopped; listeners may run: the database is read
 * before the queues, and what is covered in the one by an outbox row is only dropped there once it is in the
 * others. @throws while a queue is missing.
 */
export async function findUncovered(options: Queues & { db: Db }): Promise<Uncovered[]> {
  const { rows } = await sql<Behind>`
    select e.id as endpoint, b.id as inbox, e.cursor, b.head, e.replaying
    from endpoints e join inboxes b on b.id = e.inbox_id
    where e.state = 'active' and (e.cursor < b.head or e.replaying) and e.retry_at is null
      and not exists (select from outbox where b.id = any(outbox.inbox_ids))
  `.execute(options.db);
  const queued = await readQueues(options);
  const uncovered: Uncovered[] = [];
  for (const { endpoint, inbox, cursor, head, replaying } of rows) {
    if (queued.wakes.has(inbox)) continue;
    if (replaying) uncovered.push({ endpoint, inbox, seq: cursor }); // a dead letter, at the cursor or before
    for (let seq = cursor + 1; seq <= head; seq += 1) {
      if (!queued.events.has(`${inbox}/${seq}`)) uncovered.push({ endpoint, inbox, seq });
    }
  }
  return uncovered;
}
