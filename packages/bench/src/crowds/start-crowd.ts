import { startPeer } from "../peers/start-peer.ts";
import type { Crowd, CrowdOrder, CrowdOutcome } from "./orders.ts";

/** It ends by itself after so long. */
const AT_MOST_SECONDS = 120;

/**
 * Runs `run` while all of a crowd is there; without a crowd if there is none. @throws if the crowd breaks
 * off, by a fault of its own.
 */
export async function besideCrowd<Value>(
  url: string,
  crowd: Crowd | undefined,
  run: () => Promise<Value>,
): Promise<{ value: Value; outcome?: CrowdOutcome }> {
  if (crowd === undefined) return { value: await run() };
  const process = startPeer("crowds/crowd.ts", {});
  try {
    const order: CrowdOrder = { url, crowd, seconds: AT_MOST_SECONDS };
    process.tell(JSON.stringify(order));
    await process.printed(/^ready$/mu);
    const value = await run();
    process.tell("over");
    return { value, outcome: JSON.parse(await process.printed(/^\{.*\}$/mu)) as CrowdOutcome };
  } finally {
    await process.stop();
  }
}
