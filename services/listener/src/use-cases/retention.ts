import { type Periodic, runPeriodically } from "@messenger/core";
import { expireConversations, expireMessages } from "@messenger/store";
import type { Context } from "../context.ts";

const EVERY_MS = 10 * 60_000;
const DAY_MS = 24 * 60 * 60_000;

/** Erases messages that are older than the deployment, or their conversation, keeps them; one process at a time does. */
export function startRetention({ db, clock, settings, log }: Context): Periodic {
  return runPeriodically({
    clock,
    everyMs: EVERY_MS,
    atOnce: true,
    async round() {
      const days = settings.keepMessagesDays;
      const erased =
        (days === undefined ? 0 : await expireMessages(db, clock.now() - days * DAY_MS)) + (await expireConversations(db));
      if (erased > 0) log.info({ erased }, "messages were erased, as they are kept no longer");
    },
    onError: (error) => log.warn({ err: error }, "messages that are kept no longer could not be erased yet"),
  });
}
