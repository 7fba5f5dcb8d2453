import type { InboxEvent } from "@messenger/core";
import { Counter, Gauge, Histogram, type Registry } from "@messenger/runtime";
import type { Attempt, Backlog } from "@messenger/store";
import type { LaneState } from "./lane-states.ts";

export interface SenderMetrics {
  onAttempt(channel: string, event: InboxEvent, attempt: Attempt): void;
  onDeadLetters(count: number): void;
  onOff(): void;
  /** A message had to wait because there was no room for its mailbox. */
  onDeferred(): void;
  /** What waits in the database; undefined where it does not say. */
  onBacklog: (backlog: Backlog | undefined) => void;
  /** A user was told of messages by a channel. */
  onTold(type: string): void;
  onRelayed(work: { kind: "outbox" | "due"; count: number }): void;
  /** Says where the gauges read their values, when they are asked for. */
  observe(sources: {
    mailboxes(): ReadonlyMap<number, { lanes: Iterable<{ state: LaneState }> }>;
    inFlight(): number;
    lingering(): number;
    waiting(): number;
    readAheadBytes(): number;
  }): void;
}

/** Every sender reads these from the same database: all of them show the same. */
const BACKLOG: readonly (readonly [key: keyof Backlog, name: string, help: string])[] = [
  ["outboxRows", "messenger_outbox_rows", "Batches whose events the broker has not confirmed, up to 100,000"],
  ["outboxAgeSeconds", "messenger_outbox_age_seconds", "How old the oldest of those is"],
  ["endpointsWaiting", "messenger_endpoints_waiting", "Endpoints with a retry planned, or being caught up with, up to 100,000"],
  [
    "overdueSeconds",
    "messenger_endpoints_overdue_seconds",
    "For how long the first of those has been due; somebody looks every second",
  ],
  ["endpointsOff", "messenger_endpoints_off", "Endpoints that are switched off, up to 100,000"],
  ["deadLetters", "messenger_dead_letters", "Events that were refused for good and are kept, up to 100,000"],
];

export function createSenderMetrics(registry: Registry): SenderMetrics {
  const registers = [registry];
  const pushes = new Counter({
    name: "messenger_pushes_total",
    help: "Attempts to push an event",
    labelNames: ["channel", "outcome"],
    registers,
  });
  const pushSeconds = new Histogram({
    name: "messenger_push_seconds",
    help: "How long an attempt took",
    labelNames: ["channel"],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const deliverySeconds = new Histogram({
    name: "messenger_delivery_seconds",
    help: "From when a message was accepted until an endpoint took it",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600, 86_400],
    registers,
  });
  // Label values are looked up once: every push passes here.
  const pushesOf = createCache((channel: string) => createCache((outcome: string) => pushes.labels({ channel, outcome })));
  const pushSecondsOf = createCache((channel: string) => pushSeconds.labels({ channel }));
  const relayed = new Counter({
    name: "messenger_relayed_total",
    help: "What the relay turned into wakes: outbox rows, and endpoints whose due time had come",
    labelNames: ["kind"],
    registers,
  });

  const told = new Counter({
    name: "messenger_notices_total",
    help: "How often users were told of messages that they have not read",
    labelNames: ["type"],
    registers,
  });
  const deadLetters = new Counter({
    name: "messenger_dead_letters_total",
    help: "Events that an endpoint refused for good",
    registers,
  });
  const deferred = new Counter({
    name: "messenger_deferred_total",
    help: "Messages that were put off by a second, as MAX_MAILBOXES inboxes were in memory, all of them at work",
    registers,
  });
  const off = new Counter({
    name: "messenger_endpoints_switched_off_total",
    help: "Endpoints that were switched off",
    registers,
  });
  const readable = new Gauge({
    name: "messenger_database_readable",
    help: "1 where the database could be read when this sender last asked, every 10 s, what waits in it",
    registers,
  });
  const backlogGauges = BACKLOG.map(([key, name, help]) => [key, new Gauge({ name, help, registers })] as const);

  return {
    onDeadLetters(count) {
      if (count > 0) deadLetters.inc(count);
    },
    onOff: () => off.inc(),
    onDeferred: () => deferred.inc(),
    onBacklog(backlog) {
      // Of what is not known nothing is said: an alert can tell that from zero.
      readable.set(Number(backlog !== undefined));
      for (const [key, gauge] of backlogGauges) gauge.set(backlog?.[key] ?? Number.NaN);
    },
    onAttempt(channel, event, attempt) {
      pushesOf(channel)(attempt.outcome).inc();
      pushSecondsOf(channel).observe(attempt.ms / 1000);
      if (attempt.outcome === "delivered") {
        deliverySeconds.observe(Math.max(0, attempt.at + attempt.ms - Date.parse(event.createdAt)) / 1000);
      }
    },
    onTold: (type) => told.inc({ type }),
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
        help: "Pushes that wait for an answer, but for those that linger",
        registers,
        collect() {
          this.set(sources.inFlight());
        },
      });
      new Gauge({
        name: "messenger_pushes_lingering",
        help: "Pushes that have waited for an answer for so long that they no longer count against PUSH_CONCURRENCY",
        registers,
        collect() {
          this.set(sources.lingering());
        },
      });
      new Gauge({
        name: "messenger_pushes_waiting",
        help: "Pushes that wait for a permit",
        registers,
        collect() {
          this.set(sources.waiting());
        },
      });
      new Gauge({
        name: "messenger_read_ahead_bytes",
        help: "Bytes of contents that were read from the log and are not pushed yet",
        registers,
        collect() {
          this.set(sources.readAheadBytes());
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

/** Of few keys. */
function createCache<Value>(make: (key: string) => Value): (key: string) => Value {
  const made = new Map<string, Value>();
  return (key) => {
    const found = made.get(key) ?? make(key);
    made.set(key, found);
    return found;
  };
}
