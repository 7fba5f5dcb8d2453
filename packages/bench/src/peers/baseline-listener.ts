/**
 * The message API as it is usually written: each request is a transaction of its own, and is answered when
 * the broker has confirmed its message. It checks the token and the body, and writes message, event and
 * conversation on the same tables as Messenger's listener; it has no outbox, as it publishes before it
 * answers, seals nothing, logs nothing and asks nobody whether a session was revoked.
 *
 * Settings: DATABASE_URL, AMQP_URL, AMQP_NAMESPACE, MESSENGER_SECRET. Prints `listening <url>`.
 */
import { createSecretKey } from "node:crypto";
import { createIds, createKeyring, systemClock, systemRandom } from "@messenger/core";
import { connect } from "amqplib";
import fastify from "fastify";
import { jwtVerify } from "jose";
import pg from "pg";

interface Body {
  message: string;
  sender_id: number;
  sender_username: string;
  receiver_id: number;
  send_date: string;
}

const env = (name: string): string => process.env[name] ?? "";
const QUEUE = `${env("AMQP_NAMESPACE")}.messages`;

const pool = new pg.Pool({ connectionString: env("DATABASE_URL"), max: 20 });
pg.types.setTypeParser(pg.types.builtins.INT8, Number);
const ids = createIds({ clock: systemClock, random: systemRandom });
const keyring = createKeyring({ secret: env("MESSENGER_SECRET"), random: systemRandom });
const key = createSecretKey(keyring.tokenKeys[0] as Uint8Array);
const connection = await connect(env("AMQP_URL"));
const channel = await connection.createConfirmChannel();
await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });

/** Finds a conversation, or makes it. */
async function conversationOf(client: pg.PoolClient, pair: readonly number[]): Promise<number> {
  const found = await client.query<{ id: number }>({
    name: "find conversation",
    text: "select id from conversations where low_user_id = $1 and high_user_id = $2",
    values: [...pair],
  });
  if (found.rows[0] !== undefined) return found.rows[0].id;
  const made = await client.query<{ id: number }>({
    name: "make conversation",
    text: `insert into conversations (low_user_id, high_user_id) values ($1, $2)
      on conflict (low_user_id, high_user_id) do update set low_user_id = excluded.low_user_id returning id`,
    values: [...pair],
  });
  return (made.rows[0] as { id: number }).id;
}

/** Writes a message with its event; undefined where there is no such receiver. */
async function store(id: string, body: Body): Promise<{ inbox: number; seq: number } | undefined> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const moved = await client.query<{ id: number; head: number }>({
      name: "move",
      text: "update inboxes set head = head + 1 where user_id = $1 returning id, head",
      values: [body.receiver_id],
    });
    const box = moved.rows[0];
    if (box === undefined) {
      await client.query("rollback");
      return undefined;
    }
    const pair = [Math.min(body.sender_id, body.receiver_id), Math.max(body.sender_id, body.receiver_id)];
    const conversation = await conversationOf(client, pair);
    await client.query({
      name: "message",
      text: "insert into messages (id, conversation_id, sender_id, content, sent_at) values ($1, $2, $3, $4, $5)",
      values: [id, conversation, body.sender_id, Buffer.from(JSON.stringify(body)), body.send_date],
    });
    await client.query({
      name: "event",
      text: "insert into events (inbox_id, seq, id, kind, message_id) values ($1, $2, $3, 'message.created', $3)",
      values: [box.id, box.head, id],
    });
    await client.query("commit");
    return { inbox: box.id, seq: box.head };
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

function publish(message: object): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(message)), { persistent: true }, (error: unknown) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

const app = fastify();
app.post<{ Body: Body }>(
  "/api/messages/",
  {
    schema: {
      body: {
        type: "object",
        required: ["message", "sender_id", "sender_username", "receiver_id", "send_date"],
        properties: {
          message: { type: "string", maxLength: 65_536 },
          sender_id: { type: "integer" },
          sender_username: { type: "string" },
          receiver_id: { type: "integer" },
          send_date: { type: "string" },
        },
      },
    },
  },
  async (request, reply) => {
    const token = request.headers.authorization?.slice("Bearer ".length) ?? "";
    const { payload } = await jwtVerify(token, key, { algorithms: ["HS256"], audience: "messenger-api" });
    if (Number(payload.sub) !== request.body.sender_id) return reply.code(401).send({ error: "not the sender" });
    const id = ids.next();
    const stored = await store(id, request.body);
    if (stored === undefined) return reply.code(400).send({ error: "unknown receiver" });
    await publish({ id, ...stored, ...request.body });
    return { message_id: id, seq: stored.seq };
  },
);
process.stdout.write(`listening ${await app.listen({ host: "127.0.0.1", port: 0 })}\n`);
