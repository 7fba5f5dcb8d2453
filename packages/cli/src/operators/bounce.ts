import { MAX_REPORT_BYTES, readMailReport } from "@messenger/channels";
import { noteMailReport } from "@messenger/store";
import { withAnyDatabase } from "../database.ts";

async function readInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= MAX_REPORT_BYTES) chunks.push(chunk);
  }
  return bytes <= MAX_REPORT_BYTES ? Buffer.concat(chunks) : Buffer.alloc(0);
}

/**
 * Takes an e-mail from the standard input, as a mail server hands it on. What is no report of an e-mail of ours is left
 * alone, and is no failure: a mail server would send it back.
 */
export async function takeBounce(env: NodeJS.ProcessEnv): Promise<number> {
  const report = await readMailReport(await readInput());
  if (report === undefined) {
    process.stdout.write("This is no report that an e-mail of this Messenger came back, or was taken for spam.\n");
    return 0;
  }
  const { notification, code, isGone, kind } = report;
  const isKnown = await withAnyDatabase(env, ({ db }) =>
    noteMailReport(db, { notification, code, isGone, isUnwanted: kind === "complaint" }),
  );
  const then = isGone ? "; nothing more is sent to its address for a week" : "";
  process.stdout.write(isKnown ? `${notification}: ${code}${then}.\n` : `${notification} is not known here (any more).\n`);
  return 0;
}
