import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { describeError } from "./log.ts";

describe("an error in the log", () => {
  it("keeps name, code, constraint and stack, and none of a database's values", () => {
    const error = Object.assign(new Error('Key (email)=(ada@example.org) already exists; value "secret"'), {
      severity: "ERROR",
      code: "23505",
      constraint: "users_email_key",
      detail: "Key (email)=(ada@example.org) already exists",
      where: "unnamed portal parameter $1 = 'secret'",
    });
    const text = JSON.stringify(describeError(new Error("could not write", { cause: error })));
    expect(text).toContain("23505");
    expect(text).toContain("users_email_key");
    expect(text).toContain("log.test.ts");
    expect(text).toContain("could not write");
    expect(text).not.toContain("ada@example.org");
    expect(text).not.toContain("secret");
  });

  it("is no error, but says what was thrown", () => {
    expect(describeError("a string with a secret")).toEqual({ name: "string" });
  });
});

/** A process that logs, and does what it is told to. */
function startLogging(script: string) {
  const source = `import { createLogger } from ${JSON.stringify(new URL("log.ts", import.meta.url).href)}; const log = createLogger("test", "info"); ${script}`;
  return spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: ["pipe", "pipe", "inherit"] });
}

describe("a logger", () => {
  it("has written all lines, in their order, when the process has ended", async () => {
    const child = startLogging(
      `for (let n = 0; n < 2000; n += 1) log.info({ n, text: "x".repeat(n % 50) }, "line"); process.exit(0);`,
    );
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    await once(child, "close");
    const lines = output.trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { n: number }).n)).toEqual(Array.from({ length: 2000 }, (_, n) => n));
  });

  it("holds up nothing when nobody reads its output any more", async () => {
    const child = startLogging(
      `setInterval(() => log.info("line"), 10); setInterval(() => log.warn("warning"), 30); process.stdin.on("data", () => process.exit(7));`,
    );
    await once(child.stdout, "data");
    child.stdout.destroy();
    await new Promise((resolve) => setTimeout(resolve, 300)); // several lines, of both kinds, that nobody takes
    child.stdin.write("end\n");
    expect(await once(child, "exit")).toEqual([7, null]);
  });
});
