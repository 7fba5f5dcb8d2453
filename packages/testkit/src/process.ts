import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { waitFor } from "./wait-for.ts";

/** A service as a process of its own. */
export interface ServiceProcess {
  readonly pid: number;
  /** What it printed so far, to both outputs. */
  readonly output: string;
  /** Resolves with the exit code, or null after a signal. */
  readonly exited: Promise<number | null>;
  kill(signal: NodeJS.Signals): Promise<void>;
}

/**
 * The settings that all listeners and senders of a deployment share: on free ports, and with leave to push to
 * this machine.
 */
export function deploymentSettings(of: {
  databaseUrl: string;
  amqpUrl: string;
  namespace: string;
  partitions: number;
  secret: string;
}): Record<string, string> {
  return {
    DATABASE_URL: of.databaseUrl,
    AMQP_URL: of.amqpUrl,
    AMQP_NAMESPACE: of.namespace,
    PARTITIONS: String(of.partitions),
    MESSENGER_SECRET: of.secret,
    METRICS_PORT: "0",
    PORT: "0",
    PUSH_ALLOW_CIDRS: "127.0.0.0/8",
  };
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const KEPT_OUTPUT = 200_000;

/**
 * Starts `services/<name>/src/main.ts`, on this Node, with nothing in its environment but these settings; of
 * this checkout, or of another one in `root`.
 */
export function startService(
  name: "listener" | "sender" | "standalone",
  settings: Record<string, string>,
  root: string = ROOT,
): ServiceProcess {
  return start([`services/${name}/src/main.ts`], settings, root);
}

/** Starts the `messenger` command, likewise; `input` is what its standard input holds. */
export function startCommand(
  args: readonly string[],
  settings: Record<string, string>,
  { root = ROOT, input }: { root?: string; input?: Uint8Array } = {},
): ServiceProcess {
  return start(["packages/cli/src/main.ts", ...args], settings, root, input);
}

function start(args: readonly string[], settings: Record<string, string>, root: string, input?: Uint8Array): ServiceProcess {
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: root,
    env: { PATH: process.env["PATH"], ...settings },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  child.stdin?.end(input);
  let output = "";
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-KEPT_OUTPUT);
  };
  child.stdout?.on("data", collect);
  child.stderr?.on("data", collect);
  const exited = once(child, "close").then(([code]) => code as number | null);

  return {
    pid: child.pid as number,
    get output() {
      return output;
    },
    exited,
    async kill(signal) {
      child.kill(signal);
      await exited;
    },
  };
}

/**
 * Waits until a service has printed something that matches, and returns the first group. @throws where it
 * ends before that.
 */
export async function printed(service: ServiceProcess, pattern: RegExp): Promise<string> {
  let ended = false;
  void service.exited.then(() => (ended = true));
  const found = await waitFor(
    () => {
      const match = pattern.exec(service.output);
      return match === null ? ended : (match[1] ?? match[0]);
    },
    { what: `a process to print ${pattern}; it printed: ${service.output.slice(-2_000)}`, timeoutMs: 60_000 },
  );
  if (typeof found !== "string")
    throw new Error(`a process ended before it printed ${pattern}; it printed: ${service.output.slice(-2_000)}`);
  return found;
}
