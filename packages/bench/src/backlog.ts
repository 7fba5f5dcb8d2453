import { waitFor } from "@messenger/testkit";
import { sql } from "kysely";
import type { Db } from "@messenger/store";
import type { Sample } from "./measurements.ts";
import type { Receiver } from "./scenario.ts";
import { type Measured, whileMeasuring } from "./usage.ts";

const TIMEOUT_MS = 10 * 60_000;

/** Waits for so many pushes, from the first to the last of them; what they cost is counted from then, too. */
export async function whileDelivering(
  receiver: Pick<Receiver, "count">,
  before: number,
  count: number,
  measured: Measured,
): Promise<Sample[]> {
  await waitFor(async () => (await receiver.count()) > before, { what: "the first push" });
  const { value, samples } = await whileMeasuring(measured, async () => {
    const first = await receiver.count();
    const startedAt = performance.now();
    await waitFor(async () => (await receiver.count()) >= before + count, { what: "the last push", timeoutMs: TIMEOUT_MS });
    return { count: before + count - first, ms: performance.now() - startedAt };
  });
  return [{ metric: "delivered", unit: "1/s", value: (value.count * 1000) / value.ms }, ...samples];
}

/** Waits until the database has every attempt, and every cursor is at the end of its inbox. */
export async function untilRecorded(db: Db, count: number): Promise<void> {
  await waitFor(
    async () => {
      const { rows } = await sql<{ behind: number; tried: number }>`
        select (select count(*) from endpoints e join inboxes b on b.id = e.inbox_id where e.cursor < b.head) as behind,
          (select count(*) from attempts) as tried
      `.execute(db);
      return rows[0]?.behind === 0 && rows[0].tried >= count;
    },
    { what: "every attempt to be recorded", timeoutMs: TIMEOUT_MS },
  );
}
