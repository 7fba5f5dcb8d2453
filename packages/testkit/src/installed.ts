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

const installing = new Map<string, Promise<boolean>>();

/** On Debian or Ubuntu as root: installs a package, once. Resolves with whether it could. */
export async function installPackage(name: string): Promise<boolean> {
  const before = [...installing.values()].at(-1);
  const found = installing.get(name) ?? Promise.resolve(before).then(() => install(name));
  installing.set(name, found);
  return found;
}

async function install(name: string): Promise<boolean> {
  if (process.getuid?.() !== 0 || (await findProgram("apt-get", ["/usr/bin"])) === undefined) return false;
  process.stderr.write(`Installing Debian's ${name} (once)\n`);
  // Nothing is started by the installation itself: what is needed is started here, on ports and folders of its own.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  await runCommand("apt-get", ["update", "-qq"], { env });
  await runCommand("apt-get", ["install", "-y", "-qq", "--no-install-recommends", name], { env });
  return true;
}

/** Finds a program, or installs the package that has it. @throws where neither can be done. */
export async function needProgram(name: string, packageName: string, folders: readonly string[] = []): Promise<string> {
  const found = await findProgram(name, folders);
  if (found !== undefined) return found;
  const installed = (await installPackage(packageName)) ? await findProgram(name, folders) : undefined;
  if (installed === undefined)
    throw new Error(`the program ${name} is needed: install it (on Debian: the package ${packageName})`);
  return installed;
}
