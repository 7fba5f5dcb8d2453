import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

export interface Mail {
  to: string;
  id: string;
  headers: string;
  text: string;
}

/** A relay as mail is really sent to. */
export interface Relay {
  readonly mails: readonly Mail[];
  /** Of an address that it has not. */
  refuse(address: string): void;
  /** Takes nothing for now. */
  defer(does: boolean): void;
  /** How often it did not. */
  readonly deferred: number;
  port: number;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** On a free port of this machine, in this process. */
export async function startRelay(): Promise<Relay> {
  const mails: Mail[] = [];
  const refused = new Set<string>();
  let defers = false;
  let deferred = 0;
  let port = 0;
  let server: SMTPServer;

  async function start(): Promise<void> {
    server = new SMTPServer({
      authOptional: true,
      allowInsecureAuth: true,
      onAuth: (_auth, _session, done) => done(null, { user: "anybody" }),
      disabledCommands: ["STARTTLS"],
      onMailFrom(_address, _session, done) {
        if (!defers) {
          done();
          return;
        }
        deferred += 1;
        done(Object.assign(new Error("4.3.2 not now"), { responseCode: 421 }));
      },
      onRcptTo({ address }, _session, done) {
        if (!refused.has(address)) done();
        else done(Object.assign(new Error("5.1.1 nobody of this name"), { responseCode: 550 }));
      },
      onData(stream, session, done) {
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          const [headers = "", ...text] = Buffer.concat(chunks).toString().split("\r\n\r\n");
          const id = /^Message-ID: (\S+)/imu.exec(headers)?.[1] ?? "";
          mails.push({ to: session.envelope.rcptTo[0]?.address ?? "", id, headers, text: text.join("\r\n\r\n").trim() });
          done();
        });
      },
    });
    server.on("error", () => undefined); // of connections that a test breaks
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    port = (server.server.address() as AddressInfo).port;
  }
  await start();
  return {
    mails,
    refuse: (address) => refused.add(address),
    defer: (does) => void (defers = does),
    get deferred() {
      return deferred;
    },
    get port() {
      return port;
    },
    start,
    stop() {
      for (const { _socket: socket } of server.connections as Set<{ _socket: { destroy(): void } }>) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
