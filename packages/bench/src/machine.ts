import { readFile } from "node:fs/promises";
import { cpus, release, totalmem, type } from "node:os";
import { runCommand } from "@messenger/testkit";

/** What the figures were measured on: a line each. */
export async function describeMachine(servers: readonly string[]): Promise<string[]> {
  const processors = cpus();
  const system = /^PRETTY_NAME="(.*)"$/mu.exec(await readFile("/etc/os-release", "utf8").catch(() => ""))?.[1] ?? type();
  const commit = await runCommand("git", ["rev-parse", "--short", "HEAD"]).catch(() => "unknown");
  const changed = await runCommand("git", ["status", "--porcelain", "--untracked-files=no"]).catch(() => "");
  return [
    `${processors.length} cores (${processors[0]?.model.trim() ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${system}, Linux ${release()}; load, servers and receivers all on it`,
    `Node ${process.versions.node}; ${servers.join("; ")}`,
    `commit ${commit.trim()}${changed.trim() === "" ? "" : ", with changes"}`,
  ];
}
