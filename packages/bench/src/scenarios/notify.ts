import { addressOf, SECRET_BYTES } from "@messenger/channels";
import { createIds, createKeyring, systemClock, systemRandom, webhookSecretContext } from "@messenger/core";
import { createNotification, type Db } from "@messenger/store";
import { sql } from "kysely";
import { untilRecorded, whileDelivering } from "../backlog.ts";
import { deploy } from "../deployment.ts";
import { startPeer } from "../peers/start-peer.ts";
import type { Bench, Scenario, Side } from "../scenario.ts";
import { SECRET } from "../world.ts";

const EMAILS = 20_000;
const QUICK_EMAILS = 3_000;
/** As the sender has, if nothing else is set. */
const CONNECTIONS = 5;
const TEXT = "Your parcel has arrived, and waits for you until Friday.\n".repeat(5);

const AT_ONCE = 8;

async function makeNotifications(db: Db, count: number): Promise<void> {
  const keyring = createKeyring({ secret: SECRET, random: systemRandom });
  const ids = createIds({ clock: systemClock, random: systemRandom });
  const seal = (id: string, value: object): Uint8Array => keyring.contents.seal(id, Buffer.from(JSON.stringify(value)));
  let made = 0;
  const maker = async (): Promise<void> => {
    while (made < count) {
      const recipient = `somebody-${made}@example.org`;
      made += 1;
      const [id, address] = [ids.next(), addressOf("mailto:", recipient)];
      await createNotification(db, {
        id,
        userId: 1,
        type: "email",
        purpose: "sent",
        address,
        recipient: seal(id, { recipient }),
        data: seal(id, { content: TEXT }),
        provider: "smtp",
        sendAt: null,
        sealSecret: (inbox) =>
          keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), systemRandom.bytes(SECRET_BYTES)),
        request: null,
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, maker));
}

async function run(bench: Bench): Promise<void> {
  const count = bench.quick ? QUICK_EMAILS : EMAILS;
  const sink = startPeer("peers/smtp-sink.ts", {});
  try {
    const [, port = "", countPort = ""] = /(\d+), counting on (\d+)/u.exec(await sink.printed(/taking e-mail on (.+)/u)) ?? [];
    const taken = { count: async () => Number(await (await fetch(`http://127.0.0.1:${countPort}/`)).text()) };
    const sides: Side[] = [
      {
        name: "Messenger",
        async run() {
          const deployment = await deploy(bench);
          try {
            bench.step("making notifications");
            await makeNotifications(deployment.db, count);
            await sql`vacuum analyze`.execute(deployment.db);
            const before = await taken.count();
            const sender = await deployment.startSender({ SMTP_URL: `smtp://127.0.0.1:${port}`, MAIL_FROM: "bench@example.org" });
            const samples = await whileDelivering(taken, before, count, {
              "whoever sends": sender.pid,
              "the relay": sink.pid,
              PostgreSQL: (await bench.servers.postgres()).pid,
              RabbitMQ: (await bench.servers.rabbit()).pid,
            });
            await untilRecorded(deployment.db, count);
            return samples;
          } finally {
            await deployment.close();
          }
        },
      },
      {
        name: "nodemailer alone",
        async run() {
          const before = await taken.count();
          const settings = { SMTP_PORT: port, CONNECTIONS: String(CONNECTIONS), COUNT: String(count), TEXT };
          const peer = startPeer("peers/nodemailer-alone.ts", settings);
          try {
            return await whileDelivering(taken, before, count, { "whoever sends": peer.pid, "the relay": sink.pid });
          } finally {
            await peer.stop();
          }
        },
      },
    ];
    await bench.inTurns("notify", sides, { compared: "Messenger" });
  } finally {
    await sink.stop();
  }
}

export const notify: Scenario = {
  name: "notify",
  about:
    "A backlog of 20,000 notifications by e-mail (a quick run: 3,000), each to another address, sent by one sender over five connections to a relay on this machine. Beside: nodemailer alone, with as many connections, which keeps and logs nothing. Counted from the first e-mail to the last.",
  run,
};
