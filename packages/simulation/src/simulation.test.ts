import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { MUTANTS } from "./mutants.ts";

/** Runs the command on its own: the code that it loads is Node's to load, and a mutant's to change. */
async function command(...args: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL("main.ts", import.meta.url)), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, "close")) as [number];
  return { code, output };
}

/** Without what depends on how fast the machine is. */
const repeatable = (output: string): string => output.replace(/ in [\d.]+ s:/u, "");

/** Worlds in which a rule was broken once. */
const BROKEN_BEFORE = [
  90, 130, 434, 1687, 2342, 3524, 5326, 7638, 7902, 22_022, 36_829, 61_327, 70_259, 80_275, 5_000_301, 695_203_450, 696_544_763,
  709_918_810, 730_000_451, 730_000_934, 740_001_443, 820_000_632, 820_001_440, 255_892_105, 540_158_819, 462_264_959, 69_890_041,
  19_306_416, 1_324_540_349, 1_600_000_922, 1_879_526_354, 1_775_206_308,
];

describe("the simulation", { timeout: 600_000 }, () => {
  it("finds every rule held in 1,000 worlds", async () => {
    expect(await command("--seeds", "1000")).toMatchObject({ code: 0, output: expect.stringContaining("every rule held") });
  });

  it("finds every rule held in 2,000 worlds that nobody has seen", async () => {
    const from = String(1_000_000 + Math.floor(Math.random() * 900_000_000));
    process.stderr.write(`      worlds from ${from} on\n`);
    expect(await command("--seeds", "2000", "--from", from)).toMatchObject({
      code: 0,
      output: expect.stringContaining("every rule held"),
    });
  });

  it("finds every rule held in 1,000 worlds with groups that nobody has seen", async () => {
    const from = String(1_000_000_000 + Math.floor(Math.random() * 400_000_000));
    process.stderr.write(`      worlds with groups from ${from} on\n`);
    expect(await command("--seeds", "1000", "--from", from)).toMatchObject({
      code: 0,
      output: expect.stringContaining("every rule held"),
    });
  });

  it("finds every rule held in 1,000 worlds, in which dead letters are pushed again, that nobody has seen", async () => {
    const from = String(1_500_000_000 + Math.floor(Math.random() * 200_000_000));
    process.stderr.write(`      worlds with dead letters from ${from} on\n`);
    expect(await command("--seeds", "1000", "--from", from)).toMatchObject({
      code: 0,
      output: expect.stringContaining("every rule held"),
    });
  });

  it("finds every rule held in 1,000 worlds, in which endpoints take several pushes at once, that nobody has seen", async () => {
    const from = String(1_700_000_000 + Math.floor(Math.random() * 200_000_000));
    process.stderr.write(`      worlds with several pushes at once from ${from} on\n`);
    expect(await command("--seeds", "1000", "--from", from)).toMatchObject({
      code: 0,
      output: expect.stringContaining("every rule held"),
    });
  });

  it("finds every rule held in the worlds in which one was broken before", async () => {
    for (const seed of BROKEN_BEFORE) expect(await command("--seed", String(seed))).toMatchObject({ code: 0 });
  });

  it("gives the same run for the same seed", async () => {
    const [one, two] = [await command("--seed", "7"), await command("--seed", "7")];
    expect(repeatable(one.output)).toBe(repeatable(two.output));
    expect(repeatable((await command("--seed", "8")).output)).not.toBe(repeatable(one.output));
  });

  it.each(MUTANTS)("notices within 4,000 worlds when this is broken: $rule", async ({ name, firstWorld = 1 }) => {
    const { code, output } = await command("--seeds", "4000", "--from", String(firstWorld), "--mutant", name);
    expect({ code, output: output.slice(-2_000) }).toMatchObject({ code: 1, output: expect.stringContaining("broke a rule") });
    const seed = /Again: pnpm simulate --seed (\d+)/u.exec(output)?.[1] as string;
    const again = await command("--seed", seed, "--mutant", name);
    expect(again).toEqual({ code, output });
  });

  it("says what may be asked of it", async () => {
    expect(await command("--mutant", "nobody")).toMatchObject({ code: 2, output: expect.stringContaining("Usage") });
    expect(await command("--seeds", "0")).toMatchObject({ code: 2 });
  });
});
