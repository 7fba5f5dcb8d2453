import { Counter, Gauge, Histogram, type Registry } from "@messenger/runtime";

export interface ListenerMetrics {
  onAccepted(status: "accepted" | "repeat"): void;
  onRejected(code: string): void;
  onBatch(size: number, ms: number): void;
  /** What was published together, and whether and after how long the broker confirmed all of it. */
  onPublished: (messages: number, confirmed: boolean, ms: number) => void;
  onAnswered(status: number, ms: number): void;
  /** Says where the gauges read their values, when they are asked for. */
  observe(sources: { waiting(): number }): void;
}

export function createListenerMetrics(registry: Registry): ListenerMetrics {
  const registers = [registry];
  const accepted = new Counter({
    name: "messenger_accepted_total",
    help: "Messages that were answered 200: accepted now, or a repeat",
    labelNames: ["status"],
    registers,
  });
  const rejected = new Counter({
    name: "messenger_rejected_total",
    help: "Requests that were answered by an error, by its code",
    labelNames: ["code"],
    registers,
  });
  const batchSize = new Histogram({
    name: "messenger_append_batch_size",
    help: "Messages written by one statement",
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500],
    registers,
  });
  const batchSeconds = new Histogram({
    name: "messenger_append_seconds",
    help: "How long a statement that appends took",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10],
    registers,
  });
  const published = new Counter({
    name: "messenger_published_total",
    help: "Messages published to the broker, and whether it confirmed them",
    labelNames: ["confirmed"],
    registers,
  });
  const confirmSeconds = new Histogram({
    name: "messenger_publish_confirm_seconds",
    help: "How long the broker took to confirm what was published together",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10],
    registers,
  });
  const requestSeconds = new Histogram({
    name: "messenger_request_seconds",
    help: "How long requests took, by the first digit of their status",
    labelNames: ["status"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers,
  });
  // One for each class, looked up once: every request passes here.
  const byClass = [1, 2, 3, 4, 5].map((digit) => requestSeconds.labels({ status: `${digit}xx` }));
  return {
    onAccepted: (status) => accepted.inc({ status }),
    onRejected: (code) => rejected.inc({ code }),
    onBatch(size, ms) {
      batchSize.observe(size);
      batchSeconds.observe(ms / 1000);
    },
    onPublished(messages, confirmed, ms) {
      published.inc({ confirmed: String(confirmed) }, messages);
      if (confirmed) confirmSeconds.observe(ms / 1000);
    },
    onAnswered: (status, ms) => byClass[Math.floor(status / 100) - 1]?.observe(ms / 1000),
    observe(sources) {
      new Gauge({
        name: "messenger_append_waiting",
        help: "Messages that wait to be written",
        registers,
        collect() {
          this.set(sources.waiting());
        },
      });
    },
  };
}
