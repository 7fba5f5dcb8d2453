import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import config from "../../../vitest.config.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

interface Workflow {
  jobs: Record<string, { "timeout-minutes": number; steps: { run?: string; uses?: string }[] }>;
}

describe("the workflows", () => {
  it("call scripts and test projects that there are, and each job has a limit", async () => {
    const folder = `${ROOT}.github/workflows`;
    const { scripts } = JSON.parse(await readFile(`${ROOT}package.json`, "utf8")) as { scripts: Record<string, string> };
    const projects = (config.test?.projects ?? []).map((project) => (project as { test: { name: string } }).test.name);
    let calls = 0;
    for (const file of await readdir(folder)) {
      const { jobs } = parse(await readFile(`${folder}/${file}`, "utf8")) as Workflow;
      for (const { steps, "timeout-minutes": minutes } of Object.values(jobs)) {
        expect(minutes).toBeGreaterThan(0);
        for (const { run = "" } of steps) {
          for (const [, script] of run.matchAll(/npx -y pnpm (\w+)/gu)) {
            expect(Object.keys(scripts)).toContain(script);
            calls += 1;
          }
          for (const [, project] of run.matchAll(/--project (\w+)/gu)) expect(projects).toContain(project);
        }
      }
    }
    expect(calls).toBeGreaterThan(3);
  });
});
