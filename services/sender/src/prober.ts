import type { PushResult } from "@messenger/channels";
import { type Clock, type InboxEvent, type Periodic, runPeriodically } from "@messenger/core";
import { type EndpointRow, type EndpointsChanged, type Probe, type ProbeResult, UNVERIFIED } from "@messenger/store";
import { errorText } from "./progress.ts";

/** What the prober needs of the store. */
export interface ProberStore {
  takeProbes(limit: number): Promise<readonly { probe: Probe; endpoint: EndpointRow }[]>;
  endProbe(id: string, result: ProbeResult): Promise<void>;
  settleChallenge(
    endpoint: { id: number; address: string },
    refusal: string | null,
    isGone: boolean,
  ): Promise<EndpointsChanged | null>;
}

const EVERY_MS = 1_000;
const AT_ONCE = 20;

/** The kinds of what is pushed outside of the log: it has no place in it, and its `seq` is 0. */
const KINDS = { test: "endpoint.test", challenge: "endpoint.verification" } as const;

/** Whether the answer to a challenge holds what was asked for: as text, or as `{"challenge": …}`. */
function answersChallenge({ answer }: PushResult, token: string): boolean {
  const text = Buffer.from(answer ?? [])
    .toString()
    .trim();
  if (text === token) return true;
  try {
    return (JSON.parse(text) as { challenge?: unknown } | null)?.challenge === token;
  } catch {
    return false;
  }
}

/**
 * Pushes what listeners ask for, as they reach nobody themselves: tests of endpoints, and challenges to prove
 * their addresses. Any number of senders can do so at the same time.
 */
export function startProber(deps: {
  store: ProberStore;
  clock: Clock;
  /** As an event is pushed, but the answer is kept in any case. */
  push(endpoint: EndpointRow, event: InboxEvent, data: Record<string, unknown>): Promise<PushResult>;
  sealAnswer(endpoint: EndpointRow, result: PushResult): Uint8Array | null;
  /** Tells senders of a change of an inbox's endpoints. */
  wake(changed: EndpointsChanged): void;
  onError(error: unknown): void;
}): Periodic {
  const { store, clock } = deps;

  async function run({ id, kind, token }: Probe, endpoint: EndpointRow): Promise<void> {
    const startedAt = clock.monotonic();
    const event: InboxEvent = {
      inbox: endpoint.inbox,
      seq: 0,
      version: 0,
      id,
      kind: KINDS[kind],
      messageId: null,
      conversation: null,
      createdAt: new Date(clock.now()).toISOString(),
      content: new Uint8Array(),
      sealed: false,
    };
    const pushed = await deps.push(endpoint, event, token === null ? {} : { challenge: token });
    const isRefused = pushed.result === "delivered" && token !== null && !answersChallenge(pushed, token);
    const error = isRefused ? "the answer does not hold the challenge" : errorText(pushed);
    if (token !== null) {
      const status = pushed.status === undefined ? undefined : `it answered ${pushed.status}`;
      const isVerified = pushed.result === "delivered" && !isRefused;
      const refusal = isVerified ? null : `${UNVERIFIED}: ${error ?? status ?? pushed.result}`;
      const changed = await store.settleChallenge(endpoint, refusal, pushed.result === "gone");
      if (changed !== null) deps.wake(changed);
    }
    await store.endProbe(id, {
      result: isRefused ? "rejected" : pushed.result,
      status: pushed.status ?? null,
      ms: clock.monotonic() - startedAt,
      error,
      answer: deps.sealAnswer(endpoint, pushed),
    });
  }

  const running = new Set<Promise<void>>();

  return runPeriodically({
    clock,
    everyMs: EVERY_MS,
    onError: (error) => deps.onError(error),
    async round() {
      if (running.size >= AT_ONCE) return;
      for (const { probe, endpoint } of await store.takeProbes(AT_ONCE - running.size)) {
        // Beside one another: one address that does not answer holds up nobody. One that is not ended is taken again.
        const done = run(probe, endpoint)
          .catch((error: unknown) => deps.onError(error))
          .finally(() => running.delete(done));
        running.add(done);
      }
    },
  });
}
