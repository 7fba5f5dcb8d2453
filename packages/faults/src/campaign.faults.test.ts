import { expect, it } from "vitest";
import { runCampaign } from "./campaign.ts";

const SEED = 20_260_101;

it(
  "loses nothing, keeps the order and leaves nothing uncovered through ten faults under load",
  { timeout: 1_500_000 },
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

it(
  "loses nothing that is accepted after PostgreSQL came back older, while RabbitMQ kept its queues",
  { timeout: 600_000 },
  async () => {
    const seed = Math.floor(Math.random() * 1e6);
    const lines: string[] = [];
    const result = await runCampaign({
      seed,
      faults: 2,
      only: /^PostgreSQL back/u,
      canRollBack: true,
      onLine: (line) => lines.push(line),
    });
    expect(result.answered, lines.join("\n")).toBeGreaterThan(500);
  },
);

it(
  "has no two senders push to an address at once while they come and go, and receivers are very slow",
  { timeout: 600_000 },
  async () => {
    const seed = Math.floor(Math.random() * 1e6);
    const { overlaps } = await runCampaign({ seed, faults: 4, only: /very slow/u, onLine: () => undefined });
    expect(overlaps).toBe(0);
  },
);
