import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageBody, type Person } from "@messenger/testkit";
import { type Recipient, TEXT } from "../world.ts";

/**
 * Writes requests in the form that the loads read, every recipient once, from senders in turn; into a folder
 * of their own.
 */
export function writeRequests(senders: readonly Person[], recipients: readonly Recipient[]): Promise<string> {
  return write(
    recipients.map((recipient, n) => {
      const sender = senders[n % senders.length] as Person;
      return { token: sender.token, body: messageBody(sender, { id: recipient.userId }, TEXT) };
    }),
  );
}

/** Likewise, to conversations, each by one who takes part in it. */
export function writeRequestsTo(conversations: readonly { id: number; token: string }[]): Promise<string> {
  return write(
    conversations.map(({ id, token }) => ({ token, path: `/api/conversations/${id}/messages/`, body: { message: TEXT } })),
  );
}

async function write(requests: readonly { token: string; path?: string; body: object }[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "messenger-bench-"));
  const lines = requests.map(({ token, path = "/api/messages/", body }) => `${token}\n${path}\n${JSON.stringify(body)}\n`);
  const path = join(folder, "requests");
  await writeFile(path, lines.join(""));
  return path;
}
