import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { needProgram } from "./installed.ts";
import type { Server } from "./server.ts";
import { waitFor } from "./wait-for.ts";

async function answers(port: number): Promise<true> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } finally {
    socket.destroy();
  }
}

/** Starts a program on a port, in a folder that goes with it, and waits until it takes connections. */
async function startProgram(
  program: string,
  options: { port: number; folder: string; args: readonly string[]; origin: string; url: string },
): Promise<Server> {
  const child: ChildProcess = spawn(program, options.args, { cwd: options.folder, stdio: "ignore" });
  const exited = once(child, "exit");
  await waitFor(() => answers(options.port), { what: `${program} to listen` });
  return {
    url: options.url,
    origin: options.origin,
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await exited;
      await rm(options.folder, { recursive: true, force: true });
    },
  };
}

/** An nginx of one's own. `http` is what stands in its `http` block, made for its port and folder. */
export async function startNginx(http: (at: { port: number; folder: string }) => string): Promise<Server> {
  const program = await needProgram("nginx", "nginx-light", ["/usr/sbin"]);
  const folder = await mkdtemp(join(tmpdir(), "messenger-nginx-"));
  const port = await freePort();
  const configuration = `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
${process.getuid?.() === 0 ? "user root;" : ""}
events { worker_connections 4096; }
http {
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  access_log off;
  ${http({ port, folder })}
}
`;
  await writeFile(join(folder, "nginx.conf"), configuration);
  const args = ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")];
  return startProgram(program, {
    port,
    folder,
    args,
    origin: "the nginx installed on this machine",
    url: `http://127.0.0.1:${port}`,
  });
}

/**
 * A Redis of one's own, which appends what it is told to a file and syncs it every second: the least with
 * which a queue survives a crash.
 */
export async function startRedis(): Promise<Server> {
  const program = await needProgram("redis-server", "redis-server");
  const folder = await mkdtemp(join(tmpdir(), "messenger-redis-"));
  const port = await freePort();
  const args = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--dir",
    folder,
    "--appendonly",
    "yes",
    "--appendfsync",
    "everysec",
  ];
  const url = `redis://127.0.0.1:${port}`;
  return startProgram(program, {
    port,
    folder,
    args: [...args, "--save", "", "--maxmemory-policy", "noeviction"],
    origin: "the Redis installed on this machine",
    url,
  });
}
