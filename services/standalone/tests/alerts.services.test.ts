import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { needProgram, runCommand } from "@messenger/testkit";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

describe("the alerts", () => {
  it("ring when they should, and not when all is well", async () => {
    const promtool = await needProgram("promtool", "prometheus");
    const output = await runCommand(promtool, ["test", "rules", "infra/prometheus/alerts.test.yaml"], { cwd: ROOT });
    expect(output).toContain("SUCCESS");
  }, 300_000);

  it("are each tested to ring and to be silent, and each has its lines in the documentation", async () => {
    const [rules, tests, documentation] = await Promise.all(
      ["infra/prometheus/alerts.yaml", "infra/prometheus/alerts.test.yaml", "docs/operations.md"].map((path) =>
        readFile(`${ROOT}${path}`, "utf8"),
      ),
    );
    const names = [...(rules as string).matchAll(/- alert: (\w+)/gu)].map((match) => match[1] as string);
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) {
      expect(tests).toContain(`eval_time: 25m, alertname: ${name} }`);
      expect(tests).toMatch(new RegExp(`alertname: ${name}\\s+exp_alerts`, "u"));
      expect(documentation).toContain(`**${name}**`);
    }
  });
});
