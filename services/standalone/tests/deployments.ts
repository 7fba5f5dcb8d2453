import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAddressGuard, newVapidKey, openChannels, type ProviderSettings, VAPID_KEY } from "@messenger/channels";
import { systemClock, systemRandom } from "@messenger/core";
import { type ApiSettings, apiSettings, type Listener, startListener } from "@messenger/listener";
import {
  type Backends,
  type Closing,
  createClosing,
  createLogger,
  createRegistry,
  loadOwnKey,
  openBackends,
  readSettings,
} from "@messenger/runtime";
import { createSenderMetrics, senderStore, startNotices, startSender } from "@messenger/sender";
import { createTestDatabase, deleteNamespace, type TestDatabase, testNamespace } from "@messenger/testkit";
import { inject } from "vitest";
import { startStandalone } from "../src/standalone.ts";

/** Messenger, running in this process. */
export interface Deployment {
  /** Where each listener listens. */
  urls: readonly string[];
  close(): Promise<void>;
}

interface DeploymentOptions {
  /** Who is told by e-mail of endpoints that fail. */
  operatorAddress?: string | undefined;
  providers?: Omit<ProviderSettings, "pretend" | "webPush">;
  settings?: Partial<ApiSettings>;
}

export const SECRET = "a secret of the tests, of more than 32 bytes";
const LOOPBACK = ["127.0.0.0/8", "::1/128"];
export const PARTITIONS = 4;
const API: ApiSettings = {
  ...readSettings(apiSettings, {}),
  maxMessageBytes: 4096,
  localHostsOnly: true,
  signUpsPerHour: 1_000_000,
  pushServices: [],
  notify: "everyone",
  publicUrl: "https://messenger.test",
  twilioAuthToken: "secret",
  metaAppSecret: "the app's",
  metaVerifyToken: "the verifier's",
  phoneRegion: "DE",
  maxStreams: 1_000,
};
const LIMITS = { maxInFlight: 64, maxMailboxes: 1_000, keepAnswers: "all" as const, keepAttemptsDays: 30 };
const NOTICES_PER_DAY = 10_000;
const log = createLogger("test", "fatal");
const common = { clock: systemClock, random: systemRandom, log };
const guard = createAddressGuard({ allowCidrs: LOOPBACK });

/** Where a part of a distributed deployment finds its servers, and what it is told. */
interface Part {
  databaseUrl: string;
  amqpUrl: string;
  namespace: string;
  closing: Closing;
  secret?: string;
  previousSecrets?: readonly string[];
  /** How long a statement may take, and a silent database is waited for. */
  statementTimeoutMs?: number;
  settings?: Partial<ApiSettings>;
}

function openPart(part: Part): Promise<Backends> {
  const { databaseUrl, amqpUrl, namespace, closing, secret = SECRET, previousSecrets = [], statementTimeoutMs } = part;
  const servers = { databaseUrl, statementTimeoutMs, amqpUrl, amqpNamespace: namespace, partitions: PARTITIONS };
  return openBackends({ ...servers, secret, previousSecrets, registry: createRegistry() }, log, closing);
}

/** A listener with connections of its own, as if it were a process. */
export async function openListener(part: Part): Promise<Listener> {
  const listener = await startListener({
    ...common,
    ...(await openPart(part)),
    guard,
    registry: createRegistry(),
    settings: { ...API, ...part.settings },
    tokenTtlSeconds: 3600,
    host: "127.0.0.1",
    port: 0,
    closeGraceMs: 100,
  });
  part.closing.add(() => listener.close());
  return listener;
}

/** As somebody starts it who only has Node. */
async function embedded({ settings = {}, ...options }: DeploymentOptions = {}): Promise<Deployment> {
  const folder = await mkdtemp(join(tmpdir(), "messenger-test-"));
  const standalone = await startStandalone(
    {
      ...LIMITS,
      dataDir: folder,
      host: "127.0.0.1",
      port: 0,
      metricsPort: 0,
      metricsHost: "127.0.0.1",
      partitions: PARTITIONS,
      secret: SECRET,
      previousSecrets: [],
      allowCidrs: LOOPBACK,
      tokenTtlSeconds: 3600,
      noticesPerDay: NOTICES_PER_DAY,
      settings: { ...API, ...settings },
      ...options,
    },
    log,
  );
  return {
    urls: [standalone.url],
    async close() {
      await standalone.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Servers of its own: what is opened on them ends with `closing`. */
export async function newPart(settings: Partial<ApiSettings> = {}): Promise<Part & { database: TestDatabase }> {
  const database = await createTestDatabase(inject("databaseUrl"));
  const namespace = testNamespace();
  const closing = createClosing();
  closing.add(() => database.drop());
  closing.add(() => deleteNamespace(inject("amqpUrl"), namespace, PARTITIONS));
  return { databaseUrl: database.url, amqpUrl: inject("amqpUrl"), namespace, closing, settings, database };
}

/** A sender with connections of its own, as if it were a process. Closing it ends it before the rest. */
export async function openSender(
  part: Part,
  name: string,
  { providers = {}, operatorAddress }: Omit<DeploymentOptions, "settings"> = {},
): Promise<Closing> {
  const closing = createClosing();
  part.closing.add(() => closing.closeAll());
  const { store, broker, keyring } = await openPart({ ...part, closing });
  const webPush = { key: await loadOwnKey(store.db, keyring, VAPID_KEY, newVapidKey), contact: undefined };
  const channels = openChannels({ guard, clock: systemClock, random: systemRandom, providers: { ...providers, webPush } });
  closing.add(() => channels.close());
  const metrics = createSenderMetrics(createRegistry());
  const sender = await startSender({
    ...common,
    ...LIMITS,
    name,
    store: senderStore(store.db, operatorAddress !== undefined),
    broker,
    channels,
    keyring,
    metrics,
    partitions: PARTITIONS,
  });
  closing.add(() => sender.stop());
  const notices = startNotices({
    ...common,
    db: store.db,
    broker,
    channels,
    keyring,
    metrics,
    publicUrl: API.publicUrl,
    operatorAddress,
    operatorLanguage: "en",
    noticesPerDay: NOTICES_PER_DAY,
  });
  closing.add(() => notices.stop());
  return closing;
}

/**
 * Two listeners and two senders on PostgreSQL and RabbitMQ, each with connections of its own, as if they were
 * processes.
 */
async function distributed({ settings = {}, ...options }: DeploymentOptions = {}): Promise<Deployment> {
  const part = await newPart(settings);
  for (const name of ["sender-1", "sender-2"]) await openSender(part, name, options);
  const urls: string[] = [];
  for (let n = 0; n < 2; n += 1) urls.push((await openListener(part)).url);
  return { urls, close: () => part.closing.closeAll() };
}

/** A listener on servers of its own, that nobody pushes for. */
export async function deployListener(
  settings: Partial<ApiSettings> = {},
): Promise<{ url: string; database: TestDatabase; close: () => Promise<void> }> {
  const part = await newPart(settings);
  const { database, closing } = part;
  try {
    const { url } = await openListener(part);
    return { url, database, close: () => closing.closeAll() };
  } catch (error) {
    await closing.closeAll();
    throw error;
  }
}

export const deployments = [
  { name: "embedded", deploy: embedded },
  { name: "distributed", deploy: distributed },
];
