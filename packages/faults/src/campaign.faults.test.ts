import { expect, it } from "vitest";
import { runCampaign } from "./campaign.ts";

const SEED = 20_260_101;

it(
  "loses nothing, keeps the order and leaves nothing uncovered through ten faults under load",
  { timeout: 900_000 },
  async () => {
    const { answered, restarts } = await runCampaign({
      seed: SEED,
      faults: 10,
      onLine: (line) => process.stderr.write(`      ${line}\n`),
    });
    expect(answered).toBeGreaterThan(500);
    expect(restarts).toBeGreaterThan(0);
  },
);
