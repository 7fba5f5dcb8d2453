import { defineConfig } from "vitest/config";

const services = { globalSetup: "packages/testkit/src/global-setup.ts", testTimeout: 60_000, hookTimeout: 180_000 };

export default defineConfig({
  test: {
    projects: [
      {
        // Fast ones, beside the code: they need nothing.
        test: {
          name: "unit",
          include: ["{packages,services}/*/{src,tests}/**/*.test.ts"],
          exclude: ["**/*.{services,faults,compose}.test.ts", "packages/simulation/**"],
        },
      },
      {
        // The delivery code in simulated worlds: it needs nothing, but minutes.
        test: { name: "simulation", include: ["packages/simulation/src/**/*.test.ts"], sequence: { groupOrder: 3 } },
      },
      {
        // On real PostgreSQL and RabbitMQ, and on the embedded ones.
        test: { name: "services", include: ["{packages,services}/*/{src,tests}/**/*.services.test.ts"], ...services },
      },
      {
        // Whole processes, which are killed: one file at a time.
        test: {
          name: "faults",
          include: ["{packages,services}/*/{src,tests}/**/*.faults.test.ts"],
          ...services,
          testTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // The compose deployment, where there is a Docker engine; skipped where there is none.
        test: {
          name: "compose",
          include: ["services/standalone/tests/compose/*.compose.test.ts"],
          testTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    maxWorkers: 2,
  },
});
