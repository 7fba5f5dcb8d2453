import { afterAll, beforeAll, describe, it } from "vitest";
import { type Deployment, deployments } from "./deployments.ts";
import { followEverything } from "./following.ts";

describe.each(deployments)("following, $name", ({ deploy }) => {
  let deployment: Deployment;

  beforeAll(async () => {
    deployment = await deploy();
  });
  afterAll(() => deployment.close());

  it(
    "ends with what a fresh read gives, from whatever moment, by pull, by stream, and by both in turns",
    { timeout: 180_000 },
    () => followEverything({ urls: () => deployment.urls, steps: 150 }),
  );
});
