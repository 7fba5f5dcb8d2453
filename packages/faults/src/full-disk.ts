import { execFile } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createChance } from "@messenger/simulation";
import { printed, type ServiceProcess, startService, waitFor, makePeople } from "@messenger/testkit";
import { CampaignFailed, type CampaignResult } from "./campaign.ts";
import { startLoad } from "./load.ts";
import { startReceiver } from "./receiver.ts";
import { createTimeline } from "./timeline.ts";

const run = promisify(execFile);

const DISK = "192m";
const PEOPLE = 10;
const PER_SECOND = 60;
/** Large, so that what is left of the pages that the tables have is soon used up. */
const MESSAGE_BYTES = 4_000;
const REFUSED = 30;
const GROWN = 100;

/** Whether this process may mount file systems, which needs root's rights. */
export async function canMount(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "messenger-mount-"));
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]);
    await run("umount", [folder]);
    return true;
  } catch {
    return false;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Writes into `file` until nothing more fits. */
async function fill(file: string): Promise<void> {
  const handle = await open(file, "w");
  const block = Buffer.alloc(64 * 1024);
  try {
    for (;;) await handle.write(block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  } finally {
    await handle.close();
  }
}

/**
 * Fills the disk of a standalone under a steady load, and makes room again, round by round: what cannot be
 * written is refused, saying why; what was answered arrives, in order; and when there is room it goes on, by
 * itself or after it was started again.
 */
export async function runFullDisk(options: {
  rounds: number;
  onLine: (line: string) => void;
}): Promise<Omit<CampaignResult, "memory" | "grownBy" | "overlaps">> {
  const timeline = createTimeline(options.onLine);
  const folder = await mkdtemp(join(tmpdir(), "messenger-disk-"));
  await run("mount", ["-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", folder]);
  const receiver = await startReceiver();
  const filler = join(folder, "filler");
  let process: ServiceProcess | undefined;
  let url: string | undefined;
  let wanted = true;
  let restarts = 0;

  async function start(): Promise<void> {
    const started = startService("standalone", { DATA_DIR: folder, PORT: "0" });
    process = started;
    url = await printed(started, /listens on (http:\S+)/u).catch(() => undefined);
    void started.exited.then((code) => {
      url = undefined;
      if (!wanted) return;
      restarts += 1;
      timeline.note(`it ended with ${code}: ${started.output.trim().split("\n").slice(-3).join("\n")}; and is started again`);
      void start();
    });
  }

  try {
    await start();
    const people = await makePeople(url as unknown as string, receiver.url, PEOPLE);
    const text = "x".repeat(MESSAGE_BYTES);
    const load = startLoad({
      chance: createChance(1),
      urls: () => (url === undefined ? [] : [url]),
      people,
      perSecond: PER_SECOND,
      text,
    });
    try {
      for (let round = 1; round <= options.rounds; round += 1) {
        const before = load.answered.size;
        await waitFor(() => load.answered.size >= before + GROWN, { what: "messages to be answered", timeoutMs: 60_000 });
        timeline.note(`round ${round}: the disk is full`);
        await fill(filler);
        const refused = load.reasons.get("503") ?? 0;
        await waitFor(() => (load.reasons.get("503") ?? 0) >= refused + REFUSED, {
          what: "requests to be refused with 503",
          timeoutMs: 120_000,
        });
        const answered = load.answered.size;
        timeline.note(`round ${round}: there is room again`);
        await rm(filler);
        await waitFor(() => load.answered.size >= answered + GROWN, { what: "messages to be answered again", timeoutMs: 60_000 });
        const due = [...load.answered];
        await waitFor(() => due.every((id) => receiver.taken.has(id)), {
          what: "all that was answered to arrive",
          timeoutMs: 120_000,
        });
        timeline.note(
          `round ${round}: ${due.length} answered, all arrived; answers ${JSON.stringify(Object.fromEntries(load.reasons))}`,
        );
        const disorder = receiver.findDisorder(() => true);
        if (disorder.length > 0) throw new Error(`out of order: ${disorder.slice(0, 5).join("; ")}`);
      }
    } finally {
      await load.stop();
    }
    const other = [...load.reasons.keys()].filter((reason) => !["200", "503", "no answer"].includes(reason));
    if (other.length > 0) throw new Error(`requests were answered ${other.join(", ")}`);
    return { faults: options.rounds, answered: load.answered.size, failed: load.failed, repeats: receiver.repeats, restarts };
  } catch (error) {
    throw new CampaignFailed(`${String((error as Error).stack)}\n\nWhat happened:\n${timeline.lines.join("\n")}`);
  } finally {
    wanted = false;
    await process?.kill("SIGKILL");
    await receiver.close();
    await run("umount", [folder]);
    await rm(folder, { recursive: true });
  }
}
