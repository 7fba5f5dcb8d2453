import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { systemClock } from "@messenger/core";
import { createEmailChannel } from "../email.ts";
import type { Behaviour, Counterpart } from "./counterpart.ts";

const FLOOD = `250-${"x".repeat(500)}\r\n`;

/** Answers the command that names the recipient. */
function answerRecipient({ does }: Behaviour, socket: Socket): void {
  switch (does) {
    case "take":
    case "reject":
      socket.write("250 2.1.5 yes\r\n");
      return;
    case "defer":
      socket.write("450 4.2.1 come again\r\n");
      return;
    case "be busy":
      socket.write("421 4.3.2 too busy\r\n");
      return;
    case "be gone":
      socket.write("550 5.1.1 nobody of this name\r\n");
      return;
    case "hang":
      return;
    case "answer at length":
    case "answer without end": {
      let left = does === "answer at length" ? 64 * 1024 : Number.POSITIVE_INFINITY;
      const write = (): void => {
        while (left > 0 && !socket.destroyed) {
          left -= 1;
          if (!socket.write(FLOOD)) {
            socket.once("drain", write);
            return;
          }
        }
      };
      write();
      return;
    }
    case "answer nonsense":
      socket.write("\0\u0001 this is not SMTP\r\n");
      return;
    case "break off":
      socket.resetAndDestroy();
  }
}

/** A relay that knows as much of SMTP as one message needs. */
export async function emailCounterpart(): Promise<Counterpart> {
  const taken: { id: string }[] = [];
  let behaviour: Behaviour = { does: "take" };
  const sockets = new Set<Socket>();

  function serve(socket: Socket): void {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.write("220 relay.test ESMTP\r\n");
    let pending = "";
    let message: string | undefined;
    socket.on("data", (chunk: Buffer) => {
      pending += chunk.toString();
      for (;;) {
        if (message !== undefined) {
          const end = pending.indexOf("\r\n.\r\n");
          if (end === -1) return;
          message = pending.slice(0, end);
          pending = pending.slice(end + 5);
          if (behaviour.does === "reject") socket.write("554 5.6.0 not this one\r\n");
          else {
            taken.push({ id: /^Message-ID: <([^@]+)@/imu.exec(message)?.[1] ?? "" });
            socket.write("250 2.0.0 taken\r\n");
          }
          message = undefined;
        }
        const end = pending.indexOf("\r\n");
        if (end === -1) return;
        const line = pending.slice(0, end).toUpperCase();
        pending = pending.slice(end + 2);
        if (line.startsWith("RCPT TO")) answerRecipient(behaviour, socket);
        else if (line.startsWith("DATA")) {
          message = "";
          socket.write("354 go on\r\n");
        } else if (line.startsWith("QUIT")) socket.end("221 bye\r\n");
        else socket.write("250 yes\r\n");
      }
    });
  }

  const server = createServer(serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const channel = createEmailChannel({
    smtpUrl: `smtp://127.0.0.1:${port}`,
    from: "Messenger <m@example.org>",
    clock: systemClock,
  });
  return {
    channel,
    url: `smtp://127.0.0.1:${port}`,
    address: "mailto:ada@example.org",
    unusable: "mailto:ada@@example.org",
    behave: (next) => void (behaviour = next),
    taken,
    async close() {
      await channel.close();
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
