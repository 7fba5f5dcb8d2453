import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Instance {
  readonly url: string;
  /** Whether it was started for this, and ends with it. */
  readonly started: boolean;
  close(): Promise<void>;
}

const STANDALONE = fileURLToPath(import.meta.resolve("../../../services/standalone/src/main.ts"));
const START_WITHIN_MS = 60_000;

async function isMessenger(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/api/health/`, { signal: AbortSignal.timeout(2_000) });
    return response.ok && (await response.text()) === "OK";
  } catch {
    return false; // nobody listens there
  }
}

/** Resolves with the address that the process prints. */
async function addressOf(child: ChildProcess): Promise<string> {
  let printed = "";
  const timer = setTimeout(() => child.kill(), START_WITHIN_MS);
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      printed += chunk.toString();
      const url = /listens on (http:\S+)/u.exec(printed)?.[1];
      if (url !== undefined) return url;
    }
  } finally {
    clearTimeout(timer);
  }
  throw new Error("a fresh Messenger did not start: see above");
}

async function startFresh(env: NodeJS.ProcessEnv): Promise<Instance> {
  const folder = await mkdtemp(join(tmpdir(), "messenger-demo-"));
  const child = spawn(process.execPath, [STANDALONE], {
    env: { ...env, PORT: "0", HOST: "127.0.0.1", DATA_DIR: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const url = await addressOf(child);
    child.stdout?.resume();
    return { url, started: true, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The instance at `MESSENGER_URL`, else one that runs on this machine, else a fresh one with a folder of its own. */
export async function findOrStartInstance(env: NodeJS.ProcessEnv): Promise<Instance> {
  const given = env["MESSENGER_URL"]?.replace(/\/+$/u, "");
  const url = given ?? `http://${env["HOST"] ?? "127.0.0.1"}:${env["PORT"] ?? "5000"}`;
  if (await isMessenger(url)) return { url, started: false, close: () => Promise.resolve() };
  if (given !== undefined) throw new Error(`no Messenger answers at ${given}`);
  return startFresh(env);
}
