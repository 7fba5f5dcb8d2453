import type { InboxEvent } from "@messenger/core";
import { Counter, Gauge, Histogram, type Registry } from "@messenger/runtime";
import type { Attempt } from "@messenger/store";
import type { LaneState } from "./lane.ts";

export interface SenderMetrics {
  onAttempt(event: InboxEvent, attempt: Attempt): void;
  onRelayed(work: { kind: "outbox" | "due"; count: number }): void;
  /** Says where the gauges read their values, when they are asked for. */
  observe(sources: { mailboxes(): ReadonlyMap<number, { lanes: Iterable<{ state: LaneState }> }>; inFlight(): number }): void;
}

export function createSenderMetrics(registry: Registry): SenderMetrics {
  const registers = [registry];
  const pushes = new Counter({
    name: "messenger_pushes_total",
    help: "Attempts to push an event, by outcome",
    labelNames: ["outcome"],
    registers,
  });
  const pushSeconds = new Histogram({
    name: "messenger_push_seconds",
    help: "How long an attempt took",
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const deliverySeconds = new Histogram({
    name: "messenger_delivery_seconds",
    help: "From when a message was accepted until an endpoint took it",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600, 86_400],
    registers,
  });
  const relayed = new Counter({
    name: "messenger_relayed_total",
    help: "What the relay turned into wakes: outbox rows, and endpoints whose due time had come",
    labelNames: ["kind"],
    registers,
  });

  return {
    onAttempt(event, attempt) {
      pushes.inc({ outcome: attempt.outcome });
      pushSeconds.observe(attempt.ms / 1000);
      if (attempt.outcome === "delivered") {
        deliverySeconds.observe(Math.max(0, attempt.at + attempt.ms - Date.parse(event.createdAt)) / 1000);
      }
    },
    onRelayed({ kind, count }) {
      relayed.inc({ kind }, count);
    },
    observe(sources) {
      new Gauge({
        name: "messenger_mailboxes",
        help: "Inboxes that this sender has in memory",
        registers,
        collect() {
          this.set(sources.mailboxes().size);
        },
      });
      new Gauge({
        name: "messenger_pushes_in_flight",
        help: "Pushes that wait for an answer",
        registers,
        collect() {
          this.set(sources.inFlight());
        },
      });
      new Gauge({
        name: "messenger_lanes",
        help: "Endpoints that this sender has in memory, by state",
        labelNames: ["state"],
        registers,
        collect() {
          this.reset();
          for (const mailbox of sources.mailboxes().values()) for (const lane of mailbox.lanes) this.inc({ state: lane.state });
        },
      });
    },
  };
}
