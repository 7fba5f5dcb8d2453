import type { Broker, Consumer, Delivery } from "@messenger/broker";
import type { Channel, Channels, PushResult, Target } from "@messenger/channels";
import {
  answerContext,
  type Clock,
  createIds,
  createTimeLimit,
  endpointHeadersContext,
  type InboxEvent,
  type Keyring,
  partitionOf,
  type Random,
  runPeriodically,
  schemeOf,
  signingKeyContext,
  sleep,
  traceIdOf,
  webhookSecretContext,
} from "@messenger/core";
import type { Tracing } from "@messenger/runtime";
import { LRUCache } from "lru-cache";
import type {
  AskedLetter,
  Attempt,
  ClearAnswer,
  EndpointRow,
  LeaseAnswer,
  MailboxRow,
  Progress,
  ProgressAnswer,
} from "@messenger/store";
import { describeNews } from "./endpoint-news.ts";
import { type Lane, LEASE_RENEW_AFTER_MS } from "./lane.ts";
import { Mailbox } from "./mailbox.ts";
import type { SenderMetrics } from "./metrics.ts";
import { createPermits } from "./permits.ts";
import { type ProberStore, startProber } from "./prober.ts";
import { type RelayStore, startRelay } from "./relay.ts";
import { createStoreCalls } from "./store-calls.ts";
import { createWaker } from "./wakes.ts";

/**
 * What the sender needs of the store. Every call can be repeated when its outcome is unknown. `by` is the
 * sender's name.
 */
export interface SenderStore extends RelayStore, ProberStore {
  announceChannels(channels: readonly { scheme: string; provider: string }[]): Promise<void>;
  loadMailboxes(inboxes: readonly number[]): Promise<readonly MailboxRow[]>;
  readEvents(
    wanted: readonly { inbox: number; after: number; limit: number }[],
    maxBytes: number,
  ): Promise<readonly (readonly InboxEvent[])[]>;
  readAsked(endpoint: number, maxBytes: number): Promise<readonly AskedLetter[]>;
  takeLeases(by: string, endpoints: readonly number[]): Promise<readonly (LeaseAnswer | null)[]>;
  holdLeases(by: string, endpoints: readonly number[]): Promise<readonly boolean[]>;
  endLeases(by: string, endpoints: readonly number[]): Promise<void>;
  clearLevel(by: string, endpoints: readonly number[]): Promise<readonly ClearAnswer[]>;
  deferInboxes(inboxes: readonly number[]): Promise<void>;
  recordProgress(by: string, progress: readonly Progress[]): Promise<readonly (ProgressAnswer | null)[]>;
  /** Notes what its provider calls a notification. */
  noteProviderId(id: string, providerId: string): Promise<void>;
}

export interface SenderLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface SenderOptions {
  /** Tells this process from all other senders, those of the past included. */
  name: string;
  store: SenderStore;
  broker: Broker;
  channels: Channels;
  keyring: Keyring;
  clock: Clock;
  random: Random;
  log: SenderLog;
  metrics: SenderMetrics;
  /** Undefined where nothing is traced. */
  tracing?: Tracing | undefined;
  /** Pushes in flight at most, beside up to twice as many that have been in flight for longer than `LINGER_MS`. */
  maxInFlight: number;
  /** Mailboxes in memory at most. */
  maxMailboxes: number;
  /** Bundles of each partition that are not acknowledged, at most. */
  prefetch?: number;
  /** Bytes of an inbox's log that are read at once, or one event; each push in flight may have so much in memory. */
  readBytes?: number;
  partitions: number;
  /** Which answers are kept with attempts: all, those of public addresses, or none. */
  keepAnswers: "all" | "public" | "none";
  /** How long attempts are kept. */
  keepAttemptsDays: number;
}

export interface Sender {
  /** Takes no more, lets pushes in flight end, writes what they came to, and gives the rest back to the broker. */
  stop(): Promise<void>;
}

/**
 * Unacknowledged bundles of each partition, of 1 to 16 events each. With fewer, pushes would end before new
 * bundles come. With more, many events would wait longer than a second for a permit, and each of their lanes
 * would take a lease then.
 */
const PREFETCH = 16;
const BROKER_SILENT_MS = 20_000;
/** A lane that waits longer, for leave to push or for an answer, lets go of what it holds. */
const LINE_WAIT_MS = 1_000;
/** A push lingers that is in flight for longer. */
const LINGER_MS = 75;
const LINGER_EVERY_MS = 25;
const READ_BYTES = 128 * 1024;
/** What was evicted is written by then, and makes room. */
const EVICT_EVERY_MS = 100;
/** Mailboxes that are looked at, to find one that can be forgotten. */
const LOOKED_AT = 1_000;
/**
 * What cannot be written within this time of a stop (the database is away) stays covered: by the broker, or
 * by a lease that runs out.
 */
const STOP_WITHIN_MS = 12_000;

/** Of the endpoints that are pushed to most lately: a good part of what a mailbox takes, and quickly made again. */
const MAX_PREPARED = 20_000;

/** What is the same for all pushes to an endpoint. */
interface Prepared {
  channel: Channel;
  target: Target;
}

const NO_CHANNEL = "none";
const WEBHOOK = "webhook";
/** Whoever asked for a probe waits for it. */
const PROBE_TIMEOUT_S = 5;
/** A notification that could not be sent for so long is of no use any more. */
const NOTIFICATION_LASTS_MS = 24 * 60 * 60 * 1000;
const ANNOUNCE_EVERY_MS = 60_000;

/** It may be on again tomorrow: nothing is lost until then. */
function noChannel({ address }: EndpointRow): PushResult {
  const detail = `nothing delivers to ${schemeOf(address)} addresses here now`;
  return { result: "transient", code: "ECHANNEL", detail, isProvidersFault: true, isAttempt: false, retryAfterMs: 60_000 };
}

/** Consumes all partitions and pushes what comes, until it is stopped. */
export async function startSender(options: SenderOptions): Promise<Sender> {
  const { name, store, broker, channels, keyring, clock, random, log, metrics, tracing, prefetch = PREFETCH } = options;
  /** Nothing is tried again any more. */
  const aborting = new AbortController();
  let stopping = false;
  /** Partitions that are about to go to another sender. */
  const yielding = new Set<number>();
  /** Those of them that may have gone. */
  const givenUp = new Set<number>();
  /** How often the broker's connection was lost. */
  let losses = 0;
  /** How often another sender may have had each partition. */
  const missed = Array.from({ length: options.partitions }, () => 0);
  let readAheadBytes = 0;
  let consumer: Consumer | undefined;
  let evictedAt = Number.NEGATIVE_INFINITY;
  const mailboxes = new Map<number, Mailbox>();
  const prepared = new LRUCache<EndpointRow, Prepared>({ max: MAX_PREPARED });

  const calls = createStoreCalls({
    name,
    store,
    clock,
    random,
    log,
    readBytes: options.readBytes ?? READ_BYTES,
    signal: aborting.signal,
  });
  const { recorder } = calls;
  const ids = createIds({ clock, random });

  /** What pushes to an endpoint need. Undefined where no channel is on for it. */
  function prepareAnew(endpoint: EndpointRow): Prepared | undefined {
    const channel = channels.channelFor(endpoint.address);
    // What is a user's goes by webhooks only: a notification, which may cost the operator something, is for those who may send one.
    if (channel === undefined || (endpoint.userId !== null && channel.name !== WEBHOOK)) return undefined;
    const { inbox, address, timeoutS, isThin } = endpoint;
    const unseal = (context: string, sealed: string): Buffer =>
      keyring.webhookSecrets.unseal(context, Buffer.from(sealed, "latin1"));
    const secrets = [endpoint.secret, endpoint.previousSecret]
      .filter((secret) => secret !== null)
      .map((secret) => unseal(webhookSecretContext(inbox, address), secret));
    const headers =
      endpoint.headers === null
        ? undefined
        : (JSON.parse(unseal(endpointHeadersContext(inbox, address), endpoint.headers).toString()) as Record<string, string>);
    const signingKey = endpoint.signingKey === null ? undefined : unseal(signingKeyContext(inbox, address), endpoint.signingKey);
    const target = channel.prepare({ address, secrets, signingKey, headers, isThin, timeoutMs: timeoutS * 1000 });
    return { channel, target };
  }

  /** The same, remembered until the endpoint's settings are read anew. */
  function prepare(endpoint: EndpointRow): Prepared | undefined {
    const known = prepared.get(endpoint);
    if (known !== undefined) return known;
    const made = prepareAnew(endpoint);
    if (made !== undefined) prepared.set(endpoint, made);
    return made;
  }

  function push(endpoint: EndpointRow, event: InboxEvent, trace: string | undefined): Promise<PushResult> {
    try {
      const to = prepare(endpoint);
      if (to === undefined) return Promise.resolve(noChannel(endpoint));
      if (event.kind === "notification.created" && clock.now() - Date.parse(event.createdAt) > NOTIFICATION_LASTS_MS) {
        return Promise.resolve({ result: "rejected", code: "EEXPIRED", detail: "it could not be sent for a day", isFinal: true });
      }
      const { content, data } = unsealed(event);
      const pushed = to.channel.push({ target: to.target, event, content, data, receiver: endpoint.userId ?? 0, trace });
      return event.kind === "notification.created" ? pushed.then((result) => noteProvider(event.id, result)) : pushed;
    } catch (error) {
      // Not the endpoint's fault, and nothing that dropping the event would mend: it is tried again, until the secret is the right one.
      log.error({ err: error, endpoint: endpoint.id, event: event.id }, "an event could not be unsealed");
      return Promise.resolve({ result: "transient", code: "EUNSEAL" });
    }
  }

  /** Where that fails, its provider is not asked about it later. */
  function noteProvider(id: string, result: PushResult): PushResult {
    if (result.providerId === undefined) return result;
    store
      .noteProviderId(id, result.providerId)
      .catch((error: unknown) => log.warn({ err: error, event: id }, "its provider's name for it could not be noted"));
    return result;
  }

  function unsealed({ id, messageId, content, data, sealed }: InboxEvent): {
    content: Uint8Array;
    data: Record<string, unknown> | undefined;
  } {
    return {
      content: sealed && messageId !== null && content.length > 0 ? keyring.contents.unseal(messageId, content) : content,
      data: data == null ? undefined : (JSON.parse(keyring.contents.unseal(id, data).toString()) as Record<string, unknown>),
    };
  }

  /** The beginning of an answer, for whoever owns the endpoint. */
  function sealAnswer({ id }: EndpointRow, seq: number, { answer, isInternal = false }: PushResult): Uint8Array | null {
    const { keepAnswers } = options;
    if (answer === undefined || keepAnswers === "none" || (isInternal && keepAnswers === "public")) return null;
    return keyring.contents.seal(answerContext(id, seq), answer);
  }

  const channelName = (endpoint: EndpointRow): string =>
    (prepared.get(endpoint)?.channel ?? channels.channelFor(endpoint.address))?.name ?? NO_CHANNEL;

  /** As a span of the trace that the event is part of. One that was read from the log begins a new trace. */
  async function pushTraced(traced: Tracing, endpoint: EndpointRow, event: InboxEvent): Promise<PushResult> {
    const span = traced.begin(`push ${channelName(endpoint)}`, "client", event.trace);
    const pushed = await push(endpoint, event, span.traceparent);
    const message = event.messageId === null ? undefined : { "messenger.message_id": event.messageId };
    const what = { "messenger.event_id": event.id, ...message, "messenger.endpoint": endpoint.id };
    const status = pushed.status === undefined ? undefined : { "http.response.status_code": pushed.status };
    const type = pushed.code === undefined ? undefined : { "error.type": pushed.code };
    span.end({ ...what, ...status, ...type }, pushed.result !== "delivered");
    return pushed;
  }

  function onAttempt(endpoint: EndpointRow, event: InboxEvent, attempt: Attempt): void {
    metrics.onAttempt(channelName(endpoint), event, attempt);
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
    permits: createPermits(options.maxInFlight),
    longWaits: {
      line: createTimeLimit<Lane>(clock, LINE_WAIT_MS, (lane) => lane.onLongWait("line")),
      log: createTimeLimit<Lane>(clock, LEASE_RENEW_AFTER_MS, (lane) => lane.onLongWait("log")),
    },
    lingers: createTimeLimit<Lane>(clock, LINGER_MS, (lane) => lane.onLinger(), LINGER_EVERY_MS),
    push: (endpoint: EndpointRow, event: InboxEvent) =>
      tracing === undefined ? push(endpoint, event, event.trace) : pushTraced(tracing, endpoint, event),
    laneKeyOf: (address: string) => channels.channelFor(address)?.laneKey(address) ?? address,
    report(progress: Progress) {
      metrics.onDeadLetters(progress.deadLetters.length);
      return recorder.report(progress);
    },
    hurry: () => recorder.hurry(),
    takeLease: calls.takeLease,
    holdLease: calls.holdLease,
    endLease: calls.endLease,
    clearLevel: calls.clearLevel,
    readEvents: calls.readEvents,
    readAsked: calls.readAsked,
    sealAnswer: (endpoint: EndpointRow, { seq }: InboxEvent, result: PushResult) =>
      result.result === "delivered" ? null : sealAnswer(endpoint, seq, result),
    onReadAhead: (bytes: number) => void (readAheadBytes += bytes),
    load: calls.load,
    isYielding: (inbox: number) => yielding.size > 0 && yielding.has(partitionOf(inbox, options.partitions)),
    isCrowded: (inbox: number) => (consumer?.held(partitionOf(inbox, options.partitions)) ?? 0) >= prefetch / 2,
    isGivenUp: (inbox: number) => givenUp.size > 0 && givenUp.has(partitionOf(inbox, options.partitions)),
    timesMissed: (inbox: number) => missed[partitionOf(inbox, options.partitions)] as number,
    isStopping: () => stopping,
    brokerHeard: () => broker.silentMs() < BROKER_SILENT_MS,
    onAttempt,
    onFailing({ id, inbox, failingSince }: EndpointRow, disabledAt: number) {
      const [since, until] = [failingSince ?? clock.now(), disabledAt].map((at) => new Date(at).toISOString());
      log.warn({ endpoint: id, inbox, since, until }, "an endpoint takes nothing: it is switched off then");
    },
    onOff({ id, inbox }: EndpointRow, reason: string) {
      metrics.onOff();
      log.warn({ endpoint: id, inbox, reason }, "an endpoint was switched off: nothing more is pushed to it");
    },
    onFault(error: unknown) {
      if (!aborting.signal.aborted) log.error({ err: error }, "a lane failed");
    },
  };

  /**
   * Makes room for a mailbox: drops the least recently used one that is quiet. Where none of those it looks
   * at is, has lanes give up that only wait for a permit, for the next time. Returns whether there is room
   * now.
   */
  function makeRoom(): boolean {
    let looked = 0;
    for (const [inbox, mailbox] of mailboxes) {
      mailboxes.delete(inbox);
      if (mailbox.forgettable) return true;
      mailboxes.set(inbox, mailbox); // at work: it is not the least recently used one
      looked += 1;
      if (looked >= Math.min(LOOKED_AT, mailboxes.size)) break;
    }
    if (clock.monotonic() - evictedAt < EVICT_EVERY_MS) return false;
    evictedAt = clock.monotonic();
    let evicted = 0;
    for (const mailbox of mailboxes.values()) {
      if (mailbox.evict()) evicted += 1;
      if (evicted > mailboxes.size / 16) break;
    }
    return false;
  }

  /** Finds an inbox's mailbox, or makes it; undefined where there is no room for it. */
  function mailboxOf(inbox: number): Mailbox | undefined {
    const found = mailboxes.get(inbox);
    if (found === undefined && mailboxes.size >= options.maxMailboxes && !makeRoom()) return undefined;
    const mailbox = found ?? new Mailbox(deps, inbox);
    if (found !== undefined) mailboxes.delete(inbox);
    mailboxes.set(inbox, mailbox);
    return mailbox;
  }

  function onDelivery(delivery: Delivery): void {
    if (stopping) return; // it goes back to the broker
    const { inbox } = delivery.message;
    const mailbox = mailboxOf(inbox);
    if (mailbox !== undefined) {
      mailbox.receive(delivery);
      return;
    }
    metrics.onDeferred();
    calls.defer(inbox).then(
      () => delivery.ack(),
      () => undefined, // the sender stops: it goes back to the broker
    );
  }

  /** Another sender may have had the partition, and may have taken leases. */
  function miss(partition: number): void {
    missed[partition] = (missed[partition] as number) + 1;
  }

  /** (8) Resolves once no push is in flight but under its endpoint's lease, in these inboxes. */
  async function secure(isConcerned: (inbox: number) => boolean): Promise<void> {
    const concerned = [...mailboxes].filter(([inbox]) => isConcerned(inbox));
    await Promise.all(concerned.map(([, mailbox]) => mailbox.secure()));
  }

  metrics.observe({
    mailboxes: () => mailboxes,
    inFlight: () => deps.permits.inFlight,
    lingering: () => deps.permits.lingering,
    waiting: () => deps.permits.waiting,
    readAheadBytes: () => readAheadBytes,
  });
  const relay = startRelay({
    store,
    broker,
    clock,
    describeNews(news) {
      const eventId = ids.next();
      return { eventId, data: keyring.contents.seal(eventId, Buffer.from(JSON.stringify(describeNews(news)))) };
    },
    keepAttemptsDays: options.keepAttemptsDays,
    onWork: (work) => metrics.onRelayed(work),
    onError: (error) => log.warn({ err: error }, "the relay could not work"),
  });
  const announcing = runPeriodically({
    clock,
    everyMs: ANNOUNCE_EVERY_MS,
    atOnce: true,
    round: () => store.announceChannels(channels.providers),
    onError: (error) => log.warn({ err: error }, "it could not be said what is delivered by"),
  });
  const prober = startProber({
    store,
    clock,
    async push(endpoint, event, data) {
      // A challenge may go to somebody who wants none of it: it has no headers that its sender has chosen.
      const to = prepareAnew({
        ...endpoint,
        headers: event.kind === "endpoint.test" ? endpoint.headers : null,
        timeoutS: PROBE_TIMEOUT_S,
      });
      if (to === undefined) return noChannel(endpoint);
      const { content } = event;
      return to.channel.push({ target: to.target, event, content, data, receiver: endpoint.userId ?? 0, keepsAnswer: true });
    },
    sealAnswer: (endpoint, result) => sealAnswer(endpoint, 0, result),
    wake: createWaker({ broker, deleteOutbox: (ids) => store.deleteOutbox(ids), log }),
    onError: (error) => log.warn({ err: error }, "an endpoint could not be probed"),
  });
  consumer = await broker.consume({
    name,
    prefetch,
    onDelivery,
    async onYield(partition, giveUp) {
      const isConcerned = (inbox: number): boolean => partitionOf(inbox, options.partitions) === partition;
      const before = losses;
      yielding.add(partition);
      try {
        await secure(isConcerned);
        if (losses !== before) return; // the partition has gone with the connection, and may have come back
        givenUp.add(partition);
        // What came meanwhile: from here on, nothing asks for a lease.
        await secure(isConcerned);
        if (losses !== before) return;
        await giveUp();
        // What came until then may still wait for its endpoints.
        await secure(isConcerned);
      } finally {
        miss(partition);
        if (losses === before) {
          yielding.delete(partition);
          givenUp.delete(partition);
        }
      }
    },
    onMissed: miss,
    onLost() {
      losses += 1;
      for (let partition = 0; partition < options.partitions; partition += 1) miss(partition);
      yielding.clear();
      givenUp.clear();
      for (const mailbox of mailboxes.values()) mailbox.disconnect();
    },
  });

  return {
    async stop() {
      stopping = true;
      const timeIsUp = sleep(clock, STOP_WITHIN_MS);
      await Promise.race([Promise.all([relay.stop(), prober.stop(), announcing.stop()]), timeIsUp]);
      // Others get the partitions as soon as this one consumes no more.
      await Promise.race([secure(() => true), timeIsUp]);
      await Promise.race([consumer.stop(), timeIsUp]);
      const lanes = [...mailboxes.values()].flatMap((mailbox) => [...mailbox.lanes]);
      await Promise.race([Promise.all(lanes.map((lane) => lane.stop())), timeIsUp]);
      aborting.abort();
      await consumer.close();
    },
  };
}
