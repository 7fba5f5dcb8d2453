import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { killTree } from "./process-tree.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** What is mounted below a folder. */
async function mountsBelow(folder: string): Promise<string[]> {
  const mounts = (await readFile("/proc/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
  return mounts.filter((mount) => mount.startsWith(`${folder}/`));
}

/**
 * For a program that starts servers: puts all temporary folders into one, and removes that at the end. Told
 * to stop before (SIGINT, SIGTERM), or ended by a fault that nobody caught, it kills all that this process
 * started, and tidies up likewise. Linux only.
 */
export async function tidyingUp<Result>(run: () => Promise<Result>): Promise<Result> {
  const before = process.env["TMPDIR"];
  const folder = await mkdtemp(join(tmpdir(), "messenger-run-"));
  await chmod(folder, 0o755); // PostgreSQL runs as another user
  process.env["TMPDIR"] = folder;

  async function breakOff(exitCode: number): Promise<void> {
    await killTree(process.pid, { itself: false });
    for (const mount of await mountsBelow(folder)) await promisify(execFile)("umount", ["--lazy", mount]);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    process.exit(exitCode);
  }
  const onSignal = (signal: NodeJS.Signals): void => void breakOff(128 + constants.signals[signal]);
  const onFault = (error: Error): void => {
    process.stderr.write(`${error.stack}\n`);
    void breakOff(1);
  };
  process.once("uncaughtException", onFault);
  for (const signal of SIGNALS) process.once(signal, onSignal);
  try {
    return await run();
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    process.off("uncaughtException", onFault);
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
    await rm(folder, { recursive: true, force: true });
  }
}
