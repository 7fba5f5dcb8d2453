import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { waitFor } from "@messenger/testkit";

/** A program of this package, as a process of its own. */
export interface Peer {
  pid: number;
  /** What it printed so far. */
  readonly output: string;
  /** Waits for a line that matches; returns its first group. */
  printed(pattern: RegExp): Promise<string>;
  /** Sends it a line. */
  tell(line: string): void;
  stop(): Promise<void>;
}

const KEPT = 1_000_000;

/** Starts `src/<file>` on this Node, with nothing in its environment but these settings. */
export function startPeer(file: string, settings: Record<string, string>): Peer {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [path], {
    env: { PATH: process.env["PATH"], ...settings },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  let output = "";
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-KEPT);
  };
  child.stdout?.on("data", collect);
  child.stderr?.on("data", collect);
  return {
    pid: child.pid as number,
    get output() {
      return output;
    },
    printed: (pattern) =>
      waitFor(
        () => {
          if (child.exitCode !== null) throw new Error(`${file} ended: ${output.slice(-2_000)}`);
          const match = pattern.exec(output);
          return match === null ? undefined : (match[1] ?? match[0]);
        },
        { what: `${file} to print ${pattern}; it printed: ${output.slice(-2_000)}`, timeoutMs: 120_000 },
      ),
    tell: (line) => child.stdin?.write(`${line}\n`),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
}
