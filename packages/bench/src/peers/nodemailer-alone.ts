import { createTransport } from "nodemailer";

/** Sends so many e-mails by nodemailer and nothing else, over a pool of connections. */
const transport = createTransport({
  url: `smtp://127.0.0.1:${process.env["SMTP_PORT"] ?? ""}`,
  pool: true,
  maxConnections: Number(process.env["CONNECTIONS"]),
  maxMessages: 100,
});
const count = Number(process.env["COUNT"]);
await Promise.all(
  Array.from({ length: count }, (_, n) =>
    transport.sendMail({
      from: "bench@example.org",
      to: `somebody-${n}@example.org`,
      subject: "A notification",
      text: process.env["TEXT"] ?? "",
      messageId: `<${n}@example.org>`,
      headers: { "Auto-Submitted": "auto-generated" },
    }),
  ),
);
process.stdout.write("sent all\n");
