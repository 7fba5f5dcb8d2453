import type { PushResult } from "@messenger/channels";
import type { EndpointRow, Progress } from "@messenger/store";
import type { Standing } from "./outcome.ts";

const ERROR_LENGTH = 200;

/** Where the row says that it stands. */
export function standingOf({ failures, serverErrors, rejections, rejectedAt, failingSince }: EndpointRow): Standing {
  return { failures, serverErrors, rejections, rejectedAt, failingSince };
}

/** What a report says beside where the endpoint stands. */
export type News = Partial<
  Pick<Progress, "retryInMs" | "off" | "renew" | "ensureDue" | "attempts" | "deadLetters" | "replayed" | "replayDone">
>;

/** Where an endpoint stands, and what is new. */
export function progressOf(endpoint: EndpointRow, standing: Standing, cursor: number, news: News): Progress {
  return {
    endpoint: endpoint.id,
    generation: endpoint.generation,
    cursor,
    failures: standing.failures,
    serverErrors: standing.serverErrors,
    rejections: standing.rejections,
    rejectedAt: standing.rejectedAt,
    retryInMs: news.retryInMs ?? null,
    off: news.off ?? null,
    renew: news.renew ?? false,
    ensureDue: news.ensureDue ?? false,
    attempts: news.attempts ?? [],
    deadLetters: news.deadLetters ?? [],
    replayed: news.replayed ?? [],
    replayDone: news.replayDone ?? false,
  };
}

/** An attempt's error, as it is kept; null where the status says all. */
export function errorText({ code, detail }: PushResult): string | null {
  const text = detail ?? code;
  // What PostgreSQL cannot store as text is left out.
  return text === undefined ? null : text.replaceAll("\0", "").slice(0, ERROR_LENGTH).toWellFormed();
}
