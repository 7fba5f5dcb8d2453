import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

/** A relay that takes every e-mail, and sends it nowhere. By HTTP it says how many it has taken. */
let taken = 0;
const smtp = new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS", "AUTH"],
  onData(stream, _session, done) {
    stream.resume();
    stream.on("end", () => {
      taken += 1;
      done();
    });
  },
});
smtp.on("error", () => undefined); // of connections that end with a side
smtp.listen(0, "127.0.0.1", () => {
  const counter = createServer((_request, response) => response.end(String(taken)));
  counter.listen(0, "127.0.0.1", () => {
    const [port, countPort] = [smtp.server, counter].map((server) => (server.address() as AddressInfo).port);
    process.stdout.write(`taking e-mail on ${String(port)}, counting on ${String(countPort)}\n`);
  });
});
