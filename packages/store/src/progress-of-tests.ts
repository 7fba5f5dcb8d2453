import type { Progress } from "./deliveries.ts";

/** What a sender writes that has nothing new to say of an endpoint, but for `more`. */
export function progressOf(endpoint: { id: number; generation: number }, cursor: number, more: Partial<Progress> = {}): Progress {
  return {
    endpoint: endpoint.id,
    generation: endpoint.generation,
    cursor,
    failures: 0,
    serverErrors: 0,
    rejections: 0,
    rejectedAt: null,
    retryInMs: null,
    off: null,
    renew: false,
    ensureDue: false,
    attempts: [],
    deadLetters: [],
    replayed: [],
    replayDone: false,
    ...more,
  };
}
