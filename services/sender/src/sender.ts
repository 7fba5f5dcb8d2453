import { createSecretKey } from "node:crypto";
import type { Broker, Consumer, Delivery } from "@messenger/broker";
import type { Channel, Push, PushResult } from "@messenger/channels";
import {
  type Clock,
  composePush,
  createBatcher,
  createTimeLimit,
  type InboxEvent,
  type Keyring,
  type Random,
  traceIdOf,
  webhookSecretContext,
} from "@messenger/core";
import type { Tracing } from "@messenger/runtime";
import { LRUCache } from "lru-cache";
import type { Attempt, EndpointRow, LeaseAnswer, MailboxRow, Progress, ProgressAnswer } from "@messenger/store";
import { type Lane, LEASE_RENEW_AFTER_MS } from "./lane.ts";
import { Mailbox } from "./mailbox.ts";
import type { SenderMetrics } from "./metrics.ts";
import { createPermits } from "./permits.ts";
import { createRecorder } from "./recorder.ts";
import { type RelayStore, startRelay } from "./relay.ts";

/** What the sender needs of the store. Every call can be repeated when its outcome is unknown. `by` is the sender's name. */
export interface SenderStore extends RelayStore {
  loadMailboxes(inboxes: readonly number[]): Promise<readonly MailboxRow[]>;
  readEvents(wanted: readonly { inbox: number; after: number }[], limit: number): Promise<readonly (readonly InboxEvent[])[]>;
  takeLeases(by: string, endpoints: readonly number[]): Promise<readonly (LeaseAnswer | null)[]>;
  clearLevel(by: string, endpoints: readonly number[]): Promise<ReadonlySet<number>>;
  recordProgress(by: string, progress: readonly Progress[]): Promise<readonly (ProgressAnswer | null)[]>;
}

interface SenderLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface SenderOptions {
  /** Tells this process from all other senders, those of the past included. */
  name: string;
  store: SenderStore;
  broker: Broker;
  channel: Channel;
  keyring: Keyring;
  clock: Clock;
  random: Random;
  log: SenderLog;
  metrics: SenderMetrics;
  /** Undefined where nothing is traced. */
  tracing?: Tracing | undefined;
  /** Pushes in flight at most. */
  maxInFlight: number;
  /** Mailboxes kept in memory. */
  maxMailboxes: number;
  /** How long attempts are kept. */
  keepAttemptsDays: number;
}

export interface Sender {
  /** Takes no more, lets pushes in flight end, writes what they came to, and gives the rest back to the broker. */
  stop(): Promise<void>;
}

/**
 * Unacknowledged bundles of each partition, of 1 to 16 events: under load enough to keep all pushes going that may be in flight, and few enough that
 * few wait long for leave to push. Who waits longer than a second for that, or for a receiver's answer, lets go of them.
 */
const PREFETCH = 12;
const READ_AT_ONCE = 100;
const BROKER_SILENT_MS = 20_000;
const PER_ORIGIN = 32;
/** A lane that waits longer, for leave to push or for an answer, lets go of what it holds. */
const LINE_WAIT_MS = 1_000;
const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 5_000;

/** Of the endpoints that are pushed to most lately: a good part of what a mailbox takes, and quickly made again. */
const MAX_PREPARED = 20_000;

/** What is the same for all pushes to an endpoint. */
type Prepared = Pick<Push, "target" | "secrets">;

/** Consumes all partitions and pushes what comes, until it is stopped. */
export async function startSender(options: SenderOptions): Promise<Sender> {
  const { name, store, broker, channel, keyring, clock, random, log, metrics, tracing } = options;
  const stopping = new AbortController();
  const mailboxes = new Map<number, Mailbox>();
  const prepared = new LRUCache<EndpointRow, Prepared>({ max: MAX_PREPARED });

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      clock.after(ms, resolve);
    });
  }

  /** Tries until it succeeds: the store is away, or there is a fault that only time or an operator can mend. */
  async function persist<Result>(what: string, run: () => Promise<Result>): Promise<Result> {
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MOST_MS)) {
      try {
        return await run();
      } catch (error) {
        if (stopping.signal.aborted) throw error;
        log.warn({ err: error, retryInMs: delayMs }, `could not ${what}`);
        await sleep(delayMs * (0.5 + random.unit()));
      }
    }
  }

  const recorder = createRecorder(clock, (batch) => persist("record progress", () => store.recordProgress(name, batch)));
  const loads = createBatcher<number, MailboxRow | null>({
    clock,
    maxBatch: 500,
    maxRunning: 2,
    async run(inboxes) {
      const rows = await persist("load mailboxes", () => store.loadMailboxes(inboxes));
      const found = new Map(rows.map((row) => [row.inbox, row]));
      return inboxes.map((inbox) => found.get(inbox) ?? null);
    },
  });
  const leases = createBatcher<number, LeaseAnswer | null>({
    clock,
    maxBatch: 500,
    maxRunning: 2,
    run: (endpoints) => persist("take leases", () => store.takeLeases(name, endpoints)),
  });
  const clears = createBatcher<number, boolean>({
    clock,
    maxBatch: 500,
    maxRunning: 2,
    async run(endpoints) {
      const cleared = await persist("give leases back", () => store.clearLevel(name, endpoints));
      return endpoints.map((endpoint) => cleared.has(endpoint));
    },
  });
  const reads = createBatcher<{ inbox: number; after: number }, readonly InboxEvent[]>({
    clock,
    maxBatch: 20,
    maxRunning: 2,
    run: (wanted) => persist("read the log", () => store.readEvents(wanted, READ_AT_ONCE)),
  });

  /** What pushes to an endpoint need, made anew when its settings are read. */
  function prepare(endpoint: EndpointRow): Prepared {
    const known = prepared.get(endpoint);
    if (known !== undefined) return known;
    const context = webhookSecretContext(endpoint.inbox, endpoint.address);
    const secrets = [endpoint.secret, endpoint.previousSecret]
      .filter((secret) => secret !== null)
      .map((secret) => createSecretKey(keyring.webhookSecrets.unseal(context, secret)));
    const made = { target: channel.prepare(endpoint.address), secrets };
    prepared.set(endpoint, made);
    return made;
  }

  function push(endpoint: EndpointRow, event: InboxEvent, trace: string | undefined): Promise<PushResult> {
    let body: Uint8Array;
    let to: Prepared;
    try {
      const content = event.sealed ? keyring.contents.unseal(event.messageId, event.content) : event.content;
      body = composePush(content, event);
      to = prepare(endpoint);
    } catch (error) {
      // Not the endpoint's fault, and nothing that dropping the event would mend: it is tried again, until the secret is the right one.
      log.error({ err: error, endpoint: endpoint.id, event: event.id }, "an event could not be unsealed");
      return Promise.resolve({ kind: "failed", error: "EUNSEAL" });
    }
    return channel.push({ ...to, id: event.id, body, trace });
  }

  /** As a span of the trace that the event is part of. One that was read from the log begins a new trace. */
  async function pushTraced(traced: Tracing, endpoint: EndpointRow, event: InboxEvent): Promise<PushResult> {
    const span = traced.begin(`push ${channel.name}`, "client", event.trace);
    const result = await push(endpoint, event, span.traceparent);
    const what = { "messenger.event_id": event.id, "messenger.message_id": event.messageId, "messenger.endpoint": endpoint.id };
    if (result.kind === "answered") span.end({ ...what, "http.response.status_code": result.status }, result.status >= 400);
    else span.end({ ...what, "error.type": result.kind === "failed" ? result.error : "refused" }, true);
    return result;
  }

  function onAttempt(endpoint: EndpointRow, event: InboxEvent, attempt: Attempt): void {
    metrics.onAttempt(channel.name, event, attempt);
    const { outcome, status, error } = attempt;
    const ms = Math.round(attempt.ms * 10) / 10;
    log.info(
      {
        message: event.messageId,
        event: event.id === event.messageId ? undefined : event.id,
        endpoint: endpoint.id,
        seq: event.seq,
        attempt: attempt.attempt,
        outcome,
        status: status ?? undefined,
        error: error ?? undefined,
        ms,
        trace: traceIdOf(event.trace),
      },
      "attempt",
    );
  }

  const deps = {
    clock,
    random,
    permits: createPermits({
      total: options.maxInFlight,
      failing: Math.max(1, Math.floor(options.maxInFlight / 4)),
      perOrigin: PER_ORIGIN,
    }),
    longWaits: {
      line: createTimeLimit<Lane>(clock, LINE_WAIT_MS, (lane) => lane.onLongWait("line")),
      log: createTimeLimit<Lane>(clock, LEASE_RENEW_AFTER_MS, (lane) => lane.onLongWait("log")),
    },
    push: (endpoint: EndpointRow, event: InboxEvent) =>
      tracing === undefined ? push(endpoint, event, event.trace) : pushTraced(tracing, endpoint, event),
    report(progress: Progress) {
      metrics.onDeadLetters(progress.deadLetters.length);
      return recorder.report(progress);
    },
    hurry: () => recorder.hurry(),
    takeLease: (endpoint: number) => leases.add(endpoint),
    clearLevel: (endpoint: number) => clears.add(endpoint),
    readEvents: (inbox: number, after: number) => reads.add({ inbox, after }),
    load: (inbox: number) => loads.add(inbox),
    brokerHeard: () => broker.silentMs() < BROKER_SILENT_MS,
    onAttempt,
    onOff({ id, inbox }: EndpointRow, reason: string) {
      metrics.onOff();
      log.warn({ endpoint: id, inbox, reason }, "an endpoint was switched off: nothing more is pushed to it");
    },
    onFault(error: unknown) {
      if (!stopping.signal.aborted) log.error({ err: error }, "a lane failed");
    },
  };

  /** Finds an inbox's mailbox, or makes it; the least recently used one that is quiet makes room. */
  function mailboxOf(inbox: number): Mailbox {
    const found = mailboxes.get(inbox);
    const mailbox = found ?? new Mailbox(deps, inbox);
    if (found !== undefined) mailboxes.delete(inbox);
    mailboxes.set(inbox, mailbox);
    if (mailboxes.size > options.maxMailboxes) {
      let looked = 0;
      for (const [candidate, old] of mailboxes) {
        looked += 1;
        if (old.forgettable && old !== mailbox) {
          mailboxes.delete(candidate);
          break;
        }
        if (looked === 100) break; // all at work: more than the limit for a while
      }
    }
    return mailbox;
  }

  function onDelivery(delivery: Delivery): void {
    mailboxOf(delivery.message.inbox).receive(delivery);
  }

  metrics.observe({ mailboxes: () => mailboxes, inFlight: () => deps.permits.inFlight });
  const relay = startRelay({
    store,
    broker,
    clock,
    keepAttemptsDays: options.keepAttemptsDays,
    onWork: (work) => metrics.onRelayed(work),
    onError: (error) => log.warn({ err: error }, "the relay could not work"),
  });
  const consumer: Consumer = await broker.consume({
    name,
    prefetch: PREFETCH,
    onDelivery,
    onLost() {
      for (const mailbox of mailboxes.values()) mailbox.disconnect();
    },
  });

  return {
    async stop() {
      await relay.stop();
      await consumer.stop();
      const lanes = [...mailboxes.values()].flatMap((mailbox) => [...mailbox.lanes]);
      // What cannot be written (the database is away) stays covered: by the broker, or by a lease that runs out.
      await Promise.race([Promise.all(lanes.map((lane) => lane.stop())), sleep(15_000)]);
      stopping.abort();
      await consumer.close();
    },
  };
}
