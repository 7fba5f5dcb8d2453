import { checkNameServer } from "@messenger/channels";
import { integer, list, oneOf } from "@messenger/runtime";

/** The settings of pushing, the same wherever a sender runs. */
export const senderSettings = {
  maxInFlight: integer("PUSH_CONCURRENCY", { fallback: 256, min: 1, max: 10_000 }),
  keepAttemptsDays: integer("KEEP_ATTEMPTS_DAYS", { fallback: 30, min: 1, max: 3650 }),
  keepAnswers: oneOf("KEEP_ANSWERS", ["all", "public", "none"], "public"),
  maxMailboxes: integer("MAX_MAILBOXES", { fallback: 100_000, min: 1_000, max: 10_000_000 }),
  noticesPerDay: integer("NOTICES_PER_DAY", { fallback: 10_000, min: 0, max: 100_000_000 }),
  nameServers: list("DNS_SERVERS", { fallback: [], check: checkNameServer }),
};
