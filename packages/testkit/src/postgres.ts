import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, chown, cp, lchown, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { runCommand } from "./command.ts";
import { startContainer } from "./container.ts";
import { freePort } from "./free-port.ts";
import { findProgram, installPackage, postgresFolders, userIds } from "./installed.ts";
import { killTree } from "./process-tree.ts";
import { type BreakableServer, firstOf, type Server, type Way } from "./server.ts";
import { waitFor } from "./wait-for.ts";

async function accepts(url: string): Promise<true> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on("error", () => undefined); // reported by `connect`, too
  try {
    await client.connect();
    await client.query("select 1");
    return true;
  } finally {
    await client.end().catch(() => undefined); // it never connected
  }
}

const ready = (url: string): Promise<true> => waitFor(() => accepts(url), { what: "PostgreSQL to answer", timeoutMs: 60_000 });

const fromContainer: Way = () =>
  startContainer({
    image: "postgres:18",
    port: 5432,
    env: { POSTGRES_PASSWORD: "test", POSTGRES_DB: "test" },
    url: (port) => `postgres://postgres:test@127.0.0.1:${port}/test`,
    ready,
  });

export interface PostgresOptions {
  /** Whether a commit survives a power cut, as an operator would have it; tests need not wait for the disk. */
  durable?: boolean;
  /** Whether it must be one that can be rolled back: a server of this machine's own programs. */
  canRollBack?: boolean;
}

/** For a server that is not to survive a power cut. */
const FAST = ["fsync=off"];
/** What an operator would set first: more memory than the 128 MB it comes with, and fewer checkpoints. */
const DURABLE = ["shared_buffers=1GB", "max_wal_size=4GB"];

/** A private server of the installed programs, in a temporary folder. */
const fromInstalled =
  (options: PostgresOptions): Way =>
  async () => {
    const initdb = await findProgram("initdb", await postgresFolders());
    if (initdb === undefined) return undefined;
    const programs = dirname(initdb);
    const folder = await mkdtemp(join(tmpdir(), "messenger-postgres-"));
    const data = join(folder, "data");
    // PostgreSQL does not run as root.
    const user: { uid?: number; gid?: number } = process.getuid?.() === 0 ? await userIds("postgres") : {};
    if (user.uid !== undefined && user.gid !== undefined) await chown(folder, user.uid, user.gid);
    const port = await freePort();
    const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
    let child: ChildProcess | undefined;

    async function start(): Promise<void> {
      if (!existsSync(data)) {
        await runCommand(initdb as string, ["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"], {
          ...user,
          cwd: folder,
        });
      }
      const kind = options.durable === true ? DURABLE : FAST;
      const settings = ["listen_addresses=127.0.0.1", "max_connections=300", "log_min_messages=fatal", ...kind];
      child = spawn(
        join(programs, "postgres"),
        ["-D", data, "-p", String(port), "-k", folder, ...settings.flatMap((setting) => ["-c", setting])],
        { ...user, cwd: folder, stdio: "ignore" },
      );
      await ready(url);
    }

    /** Gives files that were made here to the user that PostgreSQL runs as. */
    async function own(path: string): Promise<void> {
      const { uid, gid } = user;
      if (uid === undefined || gid === undefined) return;
      await chown(path, uid, gid);
      for (const entry of await readdir(path, { recursive: true })) await lchown(join(path, entry), uid, gid);
    }

    async function end(signal: NodeJS.Signals): Promise<void> {
      if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      // Killed, it cannot end its own processes, and it does not start again while one of them is there.
      if (signal === "SIGKILL") await killTree(child.pid);
      else child.kill(signal);
      await exited;
    }

    const copy = join(folder, "snapshot");
    await start();
    return {
      url,
      async snapshot() {
        await end("SIGKILL");
        await rm(copy, { recursive: true, force: true });
        await cp(data, copy, { recursive: true, preserveTimestamps: true });
        await own(copy);
        await start();
      },
      async rollBack() {
        await end("SIGKILL");
        await rm(data, { recursive: true, force: true });
        await rename(copy, data);
        // Recovers from what is there, and goes on in a timeline of its own.
        await writeFile(join(data, "recovery.signal"), "");
        await appendFile(join(data, "postgresql.auto.conf"), "restore_command = 'false'\n");
        await own(data);
        await start();
      },
      origin: `the PostgreSQL installed in ${programs}`,
      get pid() {
        return child?.pid;
      },
      kill: () => end("SIGKILL"),
      async destroy() {
        await end("SIGKILL");
        await rm(data, { recursive: true, force: true });
      },
      startAgain: start,
      async stop() {
        await end("SIGINT"); // at once, without waiting for clients
        await rm(folder, { recursive: true, force: true });
      },
    };
  };

/** A server of the caller's own, which it may break. */
export function startPostgres(options: PostgresOptions = {}): Promise<BreakableServer> {
  return firstOf("PostgreSQL", [
    { origin: "a Docker engine", way: options.canRollBack === true ? () => Promise.resolve(undefined) : fromContainer },
    { origin: "an installed server", way: fromInstalled(options) },
    { origin: "a package", way: async () => ((await installPackage("postgresql")) ? fromInstalled(options)() : undefined) },
  ]);
}

/** The server for all tests of a run: the one that was given, or one of its own. */
export async function findPostgres(): Promise<Server> {
  const given = process.env["TEST_DATABASE_URL"];
  if (given === undefined || given === "") return startPostgres();
  await ready(given);
  return { url: given, origin: "TEST_DATABASE_URL", stop: () => Promise.resolve() };
}
