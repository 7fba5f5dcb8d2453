import { access, constants, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./command.ts";

/** Looks for a program in the `PATH` and in these folders; undefined where it is not there. */
export async function findProgram(name: string, folders: readonly string[] = []): Promise<string | undefined> {
  for (const folder of [...folders, ...(process.env["PATH"] ?? "").split(":")]) {
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}

/** Where Debian keeps the programs of each PostgreSQL version, the newest first. */
export async function postgresFolders(): Promise<string[]> {
  const base = "/usr/lib/postgresql";
  const versions = await readdir(base).catch(() => []);
  return versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(base, version, "bin"));
}

/** A user of this machine, for a server that does not run as root. */
export async function userIds(name: string): Promise<{ uid: number; gid: number }> {
  const line = (await readFile("/etc/passwd", "utf8")).split("\n").find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${name} on this machine`);
  return { uid: Number(uid), gid: Number(gid) };
}

let installing: Promise<boolean> | undefined;

/** On Debian or Ubuntu as root: installs the servers. Resolves with whether it could. */
export function installServers(): Promise<boolean> {
  installing ??= install();
  return installing;
}

async function install(): Promise<boolean> {
  if (process.getuid?.() !== 0 || (await findProgram("apt-get", ["/usr/bin"])) === undefined) return false;
  process.stderr.write("The tests need PostgreSQL and RabbitMQ: installing Debian's packages (once)\n");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  await runCommand("apt-get", ["update", "-qq"], { env });
  await runCommand("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "postgresql", "rabbitmq-server"], { env });
  return true;
}
