import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";

interface Line {
  msg: string;
  err?: { name: string; message: string; stack: string };
}

/** A service as a process, which logs "up" once it runs, then does `whenUp`, and closes by `close`. */
function startClosing(close: string, whenUp = "") {
  const moduleOf = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);
  const source = `
    import { createLogger } from ${moduleOf("log.ts")};
    import { runService } from ${moduleOf("run.ts")};
    const log = createLogger("test", "info");
    setInterval(() => undefined, 1_000);
    await runService("test", async () => ({ log, close: async () => { ${close} } }));
    log.warn("up");
    ${whenUp}
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return {
    /** Resolves with its exit code and its signal. */
    exited: once(child, "close"),
    lines: (): readonly Line[] =>
      output
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Line),
    logs: (text: string) => vi.waitFor(() => expect(output).toContain(`"msg":"${text}"`), { timeout: 20_000, interval: 20 }),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
  };
}

describe("a service", { timeout: 30_000 }, () => {
  let service: ReturnType<typeof startClosing>;
  afterEach(() => void service.kill("SIGKILL"));

  it.each<NodeJS.Signals>(["SIGINT", "SIGTERM"])("closes at %s, and then ends with 0", async (signal) => {
    service = startClosing(`await new Promise((resolve) => setTimeout(resolve, 50)); log.info("closed");`);
    await service.logs("up");
    service.kill(signal);
    expect(await service.exited).toEqual([0, null]);
    expect(service.lines().map(({ msg }) => msg)).toEqual(["up", "stopping", "closed", "stopped"]);
  });

  it.each<[NodeJS.Signals, NodeJS.Signals]>([
    ["SIGINT", "SIGINT"],
    ["SIGTERM", "SIGINT"],
    ["SIGTERM", "SIGTERM"],
  ])("that does not come to an end after %s ends at once at %s, with 1", async (first, second) => {
    service = startClosing(`log.warn("closing"); await new Promise(() => undefined);`);
    await service.logs("up");
    service.kill(first);
    await service.logs("closing");
    service.kill(second);
    expect(await service.exited).toEqual([1, null]);
  });

  it.each([
    ["an exception", `setImmediate(() => { throw new TypeError("a fault"); });`],
    ["a rejection", `void Promise.reject(new TypeError("a fault"));`],
  ])("logs %s that nobody caught, closes, and ends with 1", async (_name, fault) => {
    service = startClosing(`log.info("closed");`, fault);
    expect(await service.exited).toEqual([1, null]);
    const logged = service.lines().find(({ err }) => err !== undefined);
    expect(logged).toMatchObject({ msg: "a fault that nobody caught: stopping", err: { name: "TypeError", message: "a fault" } });
    expect(logged?.err?.stack).toContain("at ");
    expect(service.lines().map(({ msg }) => msg)).toContain("closed");
  });

  it("that cannot close everything says why, and ends with 1", async () => {
    service = startClosing(`throw new Error("it does not close");`);
    await service.logs("up");
    service.kill("SIGTERM");
    await service.logs("not all could be closed");
    expect(await service.exited).toEqual([1, null]);
  });
});
