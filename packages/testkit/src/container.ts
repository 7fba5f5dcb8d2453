import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer } from "testcontainers";
import { freePort } from "./free-port.ts";
import type { BreakableServer } from "./server.ts";

/** Whether the tests may use a Docker engine: `TEST_SERVICES=installed` says no. */
function mayUseEngine(): boolean {
  return process.env["TEST_SERVICES"] !== "installed";
}

/** Starts a server in a container, on a port of this machine that stays the same; undefined where no engine runs. */
export async function startContainer(options: {
  image: string;
  port: number;
  env: Record<string, string>;
  url(port: number): string;
  ready(url: string): Promise<unknown>;
}): Promise<BreakableServer | undefined> {
  if (!mayUseEngine()) return undefined;
  const client = await getContainerRuntimeClient().catch(() => undefined);
  if (client === undefined) return undefined;
  const host = await freePort();
  const url = options.url(host);
  let container: StartedTestContainer | undefined;

  async function start(): Promise<void> {
    if (container !== undefined) {
      await client?.container.getById(container.getId()).start();
      await options.ready(url);
      return;
    }
    container = await new GenericContainer(options.image)
      .withEnvironment(options.env)
      .withExposedPorts({ container: options.port, host })
      .withStartupTimeout(120_000)
      .start();
    await options.ready(url);
  }

  async function kill(): Promise<void> {
    if (container !== undefined) await client?.container.getById(container.getId()).kill();
  }

  async function remove(): Promise<void> {
    if (container === undefined) return;
    const found = client?.container.getById(container.getId());
    container = undefined;
    await found?.remove({ force: true, v: true }); // kills it at once, and its data goes with it
  }

  await start();
  return { url, origin: `a container of ${options.image}`, kill, destroy: remove, startAgain: start, stop: remove };
}
