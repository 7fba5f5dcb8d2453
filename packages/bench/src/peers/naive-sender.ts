/**
 * Consumes the baseline listener's queue as it is usually written: reads the endpoint, pushes, records the
 * attempt, acknowledges; 256 at a time, in no order. Settings: DATABASE_URL, AMQP_URL, AMQP_NAMESPACE. Prints
 * `working`.
 */
import { connect } from "amqplib";
import pg from "pg";
import { CONCURRENCY, env, push } from "./push-client.ts";

interface Message {
  id: string;
  inbox: number;
  seq: number;
}

const QUEUE = `${env("AMQP_NAMESPACE")}.messages`;
const pool = new pg.Pool({ connectionString: env("DATABASE_URL"), max: 20 });
const connection = await connect(env("AMQP_URL"));
const channel = await connection.createChannel();
await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });
await channel.prefetch(CONCURRENCY);

async function handle(message: Message): Promise<void> {
  const { rows } = await pool.query<{ id: string; address: string }>({
    name: "endpoint",
    text: "select id, address from endpoints where inbox_id = $1 and state = 'active'",
    values: [message.inbox],
  });
  for (const { id, address } of rows) {
    const startedAt = Date.now();
    await push({ url: address, id: message.id, body: JSON.stringify(message) });
    await pool.query({
      name: "attempt",
      text: `insert into attempts (endpoint_id, seq, attempt, at, outcome, status, ms) values ($1, $2, 1, now(), 'delivered', 204, $3)`,
      values: [id, message.seq, Date.now() - startedAt],
    });
    await pool.query({
      name: "cursor",
      text: "update endpoints set cursor = greatest(cursor, $2) where id = $1",
      values: [id, message.seq],
    });
  }
}

await channel.consume(QUEUE, (delivery) => {
  if (delivery === null) throw new Error("the queue has gone");
  handle(JSON.parse(delivery.content.toString()) as Message).then(
    () => channel.ack(delivery),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      channel.nack(delivery);
    },
  );
});
process.stdout.write("working\n");
