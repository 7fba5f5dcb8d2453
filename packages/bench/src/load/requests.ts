import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageBody, type Person } from "@messenger/testkit";
import { type Recipient, TEXT } from "../world.ts";

/** Writes requests in the form that the loads read, every recipient once, from senders in turn; into a folder of their own. */
export async function writeRequests(senders: readonly Person[], recipients: readonly Recipient[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "messenger-bench-"));
  const lines = recipients.map((recipient, n) => {
    const sender = senders[n % senders.length] as Person;
    return `${sender.token}\n${JSON.stringify(messageBody(sender, { id: recipient.userId }, TEXT))}\n`;
  });
  const path = join(folder, "requests");
  await writeFile(path, lines.join(""));
  return path;
}
