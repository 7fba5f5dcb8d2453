import { readdir, readFile, writeFile } from "node:fs/promises";

interface Process {
  pid: number;
  parent: number;
  /** Clock ticks, its ended children's included. */
  ticks: number;
}

/** Linux counts in hundredths of a second towards programs, whatever the kernel's own clock does. */
const TICKS_PER_SECOND = 100;

async function readProcess(pid: number): Promise<Process | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined); // it has ended
  if (stat === undefined) return undefined;
  // The second field is a name in brackets, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const number = (field: number): number => Number(fields[field - 3]);
  return { pid, parent: number(4), ticks: number(14) + number(15) + number(16) + number(17) };
}

/** A process with all its descendants, itself first. Linux only. */
async function readTree(root: number): Promise<Process[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/u.test(name)).map(Number);
  const all = (await Promise.all(pids.map(readProcess))).filter((process) => process !== undefined);
  const tree = all.filter((process) => process.pid === root);
  for (const found of tree) tree.push(...all.filter((process) => process.parent === found.pid)); // grows while it is read
  return tree;
}

/**
 * What a process and its descendants have used since they started: CPU time, and the most memory that one of
 * them held.
 */
export interface Usage {
  cpuSeconds: number;
  peakBytes: number;
  /** What the first of them holds now. */
  residentBytes: number;
}

/** Reads what a process and its descendants have used. Linux only. */
export async function readUsage(root: number): Promise<Usage> {
  const tree = await readTree(root);
  let [peakKib, residentKib] = [0, 0];
  for (const { pid } of tree) {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""); // it has ended
    peakKib = Math.max(peakKib, Number(/^VmHWM:\s+(\d+) kB$/mu.exec(status)?.[1] ?? 0));
    if (pid === root) residentKib = Number(/^VmRSS:\s+(\d+) kB$/mu.exec(status)?.[1] ?? 0);
  }
  const cpuSeconds = tree.reduce((sum, { ticks }) => sum + ticks, 0) / TICKS_PER_SECOND;
  return { cpuSeconds, peakBytes: peakKib * 1024, residentBytes: residentKib * 1024 };
}

/**
 * Has the peaks of memory of a process and its descendants counted from now on. Linux only; for processes of
 * one's own, or by root.
 */
export async function forgetPeaks(root: number): Promise<void> {
  for (const { pid } of await readTree(root)) await writeFile(`/proc/${pid}/clear_refs`, "5").catch(() => undefined); // it has ended, or is not ours
}

/** Kills a process, unless it is to be left, and its descendants at once. */
export async function killTree(root: number, { itself = true } = {}): Promise<void> {
  for (const { pid } of await readTree(root)) {
    if (pid === root && !itself) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it ended by itself
    }
  }
}
