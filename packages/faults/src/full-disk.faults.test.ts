import { expect, it } from "vitest";
import { canMount, runFullDisk } from "./full-disk.ts";

const mayMount = await canMount();

it.skipIf(!mayMount)(
  "refuses what a full disk cannot take, saying so, and goes on when there is room, having lost nothing",
  { timeout: 600_000 },
  async () => {
    const { answered, failed } = await runFullDisk({ rounds: 2, onLine: (line) => process.stderr.write(`      ${line}\n`) });
    expect(answered).toBeGreaterThan(300);
    expect(failed).toBeGreaterThan(0);
  },
);
