import type { Language } from "@messenger/channels";
import { resolve } from "node:path";
import {
  createAddressGuard,
  type EgressProxy,
  newVapidKey,
  openChannels,
  type ProviderSettings,
  VAPID_KEY,
} from "@messenger/channels";
import { type Periodic, runPeriodically, systemClock, systemRandom } from "@messenger/core";
import { type Listener, type ListenerOptions, startListener } from "@messenger/listener";
import {
  createClosing,
  createRegistry,
  loadOwnKey,
  type Logger,
  openBackends,
  openDataFolder,
  ownSecret,
  openTracing,
  serveMetrics,
  type TracingOptions,
} from "@messenger/runtime";
import { createSenderMetrics, senderStore, startNotices, startSender, watchBacklog } from "@messenger/sender";
import { breakLeases, createEmbeddedMaintenance, migrate, readBacklog, type Store } from "@messenger/store";

export interface StandaloneOptions {
  dataDir: string;
  host: string;
  port: number;
  /** 0 serves no metrics. */
  metricsPort: number;
  metricsHost: string;
  partitions: number;
  secret: string | undefined;
  previousSecrets: readonly string[];
  allowCidrs: readonly string[];
  /** Name servers to ask; those of the system if there are none. */
  nameServers?: readonly string[];
  /** Who delivers to people; where nobody does, it is pretended, and said so. */
  providers?: Omit<ProviderSettings, "pretend" | "webPush">;
  /** How pushes leave this network. */
  proxy?: EgressProxy | undefined;
  /** Whom push services of browsers may write to. */
  pushContact?: string | undefined;
  /** Notices by each channel, in a day. */
  noticesPerDay: number;
  /** Who is told by e-mail of endpoints that fail. */
  operatorAddress?: string | undefined;
  operatorLanguage?: Language;
  tokenTtlSeconds: number;
  maxInFlight: number;
  maxMailboxes: number;
  keepAnswers: "all" | "public" | "none";
  keepAttemptsDays: number;
  settings: ListenerOptions["settings"];
  tracing?: TracingOptions;
}

export interface Standalone {
  readonly url: string;
  readonly dataDir: string;
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 2_000;
const MAINTAIN_EVERY_MS = 1_000;

/** Looks after the embedded database, until it is stopped. */
function startMaintenance(store: Store, log: Logger): Periodic {
  const maintain = createEmbeddedMaintenance(store.db, () => systemClock.monotonic());
  return runPeriodically({
    clock: systemClock,
    everyMs: MAINTAIN_EVERY_MS,
    round: maintain,
    onError: (error) => log.warn({ err: error }, "the database could not be looked after"),
  });
}

/** A listener and a sender in this process, on an embedded database and an in-process broker. */
export async function startStandalone(options: StandaloneOptions, log: Logger): Promise<Standalone> {
  const dataDir = resolve(options.dataDir);
  const closing = createClosing();
  try {
    const listener = await open(dataDir, options, log, closing);
    return { url: listener.url, dataDir, close: () => closing.closeAll() };
  } catch (error) {
    await closing.closeAll();
    throw error;
  }
}

async function open(
  dataDir: string,
  options: StandaloneOptions,
  log: Logger,
  closing: ReturnType<typeof createClosing>,
): Promise<Listener> {
  const folder = await openDataFolder(dataDir);
  closing.add(() => folder.release());

  const clock = systemClock;
  const random = systemRandom;
  const registry = createRegistry();
  const { store, broker, keyring } = await openBackends(
    {
      databaseUrl: folder.databaseUrl,
      amqpUrl: "in-process:",
      partitions: options.partitions,
      secret: options.secret ?? (await ownSecret(dataDir)),
      previousSecrets: options.previousSecrets,
      registry,
      async prepare(opened) {
        await migrate(opened.db);
        await breakLeases(opened.db); // whoever held one is dead: the folder is ours
      },
    },
    log,
    closing,
  );
  const maintenance = startMaintenance(store, log);
  closing.add(() => maintenance.stop());
  const tracing = options.tracing && (await openTracing("standalone", options.tracing));
  closing.add(() => tracing?.close());
  const metrics = createSenderMetrics(registry);
  if (options.metricsPort !== 0) {
    const served = await serveMetrics({ registry, host: options.metricsHost, port: options.metricsPort });
    closing.add(() => served.close());
    const backlog = watchBacklog({ clock, readBacklog: () => readBacklog(store.db), onBacklog: metrics.onBacklog });
    closing.add(() => backlog.stop());
  }

  const guard = createAddressGuard(options);
  const vapidKey = await loadOwnKey(store.db, keyring, VAPID_KEY, newVapidKey);
  const channels = openChannels({
    guard,
    proxy: options.proxy,
    clock,
    random,
    providers: {
      ...options.providers,
      webPush: { key: vapidKey, contact: options.pushContact },
      pretend: (id) => log.warn({ notification: id }, "nothing is set up to deliver it: a notification was sent nowhere"),
    },
  });
  closing.add(() => channels.close());
  const sender = await startSender({
    name: "standalone",
    store: senderStore(store.db, options.operatorAddress !== undefined),
    broker,
    channels,
    keyring,
    clock,
    random,
    log,
    metrics,
    tracing,
    maxInFlight: options.maxInFlight,
    maxMailboxes: options.maxMailboxes,
    partitions: options.partitions,
    keepAnswers: options.keepAnswers,
    keepAttemptsDays: options.keepAttemptsDays,
  });
  closing.add(() => sender.stop());
  const notices = startNotices({
    db: store.db,
    broker,
    channels,
    keyring,
    clock,
    random,
    log,
    metrics,
    publicUrl: options.settings.publicUrl,
    noticesPerDay: options.noticesPerDay,
    operatorAddress: options.operatorAddress,
    operatorLanguage: options.operatorLanguage ?? "en",
  });
  closing.add(() => notices.stop());
  const listener = await startListener({
    store,
    broker,
    keyring,
    guard,
    clock,
    random,
    log,
    registry,
    tracing,
    settings: options.settings,
    tokenTtlSeconds: options.tokenTtlSeconds,
    host: options.host,
    port: options.port,
    closeGraceMs: CLOSE_GRACE_MS,
  });
  closing.add(() => listener.close());
  return listener;
}
