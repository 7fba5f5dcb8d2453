import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { printed, startService } from "@messenger/testkit";
import { openLoop } from "../load/end-to-end.ts";
import { writeRequests } from "../load/requests.ts";
import { runWrk } from "../load/wrk.ts";
import type { Sample } from "../measurements.ts";
import { signIn } from "../people.ts";
import type { Bench, Scenario } from "../scenario.ts";
import { whileMeasuring } from "../usage.ts";
import { SECRET } from "../world.ts";
import { measureEndToEnd } from "./end-to-end.ts";

const PEOPLE = 64;

/**
 * A data folder cannot be written to from outside, so recipients are people who log in: fewer than elsewhere.
 * What is accepted is pushed meanwhile.
 */
async function measure(bench: Bench): Promise<readonly Sample[]> {
  const receiver = await bench.servers.receiver();
  const folder = await mkdtemp(join(tmpdir(), "messenger-bench-"));
  const standalone = startService("standalone", {
    DATA_DIR: folder,
    PORT: "0",
    METRICS_PORT: "0",
    MESSENGER_SECRET: SECRET,
    LOG_LEVEL: "info",
  });
  let requests: string | undefined;
  try {
    const url = await printed(standalone, /(http:\/\/127\.0\.0\.1:\d+)/u);
    const people = await signIn(url, PEOPLE, (n) => receiver.addressOf(n, "timed"));
    const recipients = people.map(({ id }) => ({ userId: id, inbox: 0 }));
    requests = await writeRequests(people, [...recipients.slice(1), ...recipients.slice(0, 1)]);
    const measured = { "the process": standalone.pid };
    const seconds = bench.quick ? 2 : 8;
    const file = requests;
    const samples: Sample[] = [];
    for (const connections of [1, 64]) {
      const { value, samples: used } = await whileMeasuring(measured, () =>
        runWrk({ url, requests: file, connections, seconds }),
      );
      samples.push(
        { metric: `accepted, ${connections} connections`, unit: "1/s", value: value.perSecond },
        { metric: `p99, ${connections} connections`, unit: "ms", value: value.p99 },
        ...(connections === 64 ? used : []),
      );
    }
    const loop = await openLoop(receiver, requests);
    try {
      samples.push(...(await measureEndToEnd(bench, loop, url, {})));
    } finally {
      await loop.close();
    }
    return samples;
  } finally {
    await standalone.kill("SIGTERM");
    await rm(folder, { recursive: true });
    if (requests !== undefined) await rm(dirname(requests), { recursive: true });
  }
}

async function run(bench: Bench): Promise<void> {
  await bench.inTurns("embedded", [{ name: "standalone", run: () => measure(bench) }]);
}

export const embedded: Scenario = {
  name: "embedded",
  about:
    "`pnpm start`: the listener, the sender, the database and the queue in one process. Accepting from 1 and 64 connections, and end-to-end as above, among 64 people.",
  run,
};
