import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { checkCidr, createAddressGuard, newVapidKey, openChannels, VAPID_KEY } from "@messenger/channels";
import { systemClock, systemRandom } from "@messenger/core";
import {
  createClosing,
  createLogger,
  createRegistry,
  integer,
  list,
  loadOwnKey,
  openBackends,
  openTracing,
  readSettings,
  runService,
  serveMetrics,
  serviceSettings,
} from "@messenger/runtime";
import { readBacklog } from "@messenger/store";
import { watchBacklog } from "./backlog-watch.ts";
import { createSenderMetrics } from "./metrics.ts";
import { startNotices } from "./notices/start.ts";
import { contactOf, providerSettings, providersOf } from "./providers.ts";
import { startSender } from "./sender.ts";
import { proxyOf, senderSettings } from "./settings.ts";
import { senderStore } from "./store.ts";

await runService("sender", async () => {
  const settings = readSettings(
    {
      ...serviceSettings,
      ...senderSettings,
      ...providerSettings,
      metricsPort: integer("METRICS_PORT", { fallback: 9465, min: 0, max: 65_535 }), // a listener beside it has the usual one
      allowCidrs: list("PUSH_ALLOW_CIDRS", { fallback: [], check: checkCidr }),
    },
    process.env,
  );
  const log = createLogger("sender", settings.logLevel);
  const closing = createClosing();
  const registry = createRegistry();
  const { store, broker, keyring } = await openBackends({ ...settings, registry }, log, closing);
  const tracing = await openTracing("sender", settings);
  closing.add(() => tracing?.close());
  const served = await serveMetrics({ registry, host: settings.metricsHost, port: settings.metricsPort });
  closing.add(() => served.close());
  const metrics = createSenderMetrics(registry);
  const backlog = watchBacklog({ clock: systemClock, readBacklog: () => readBacklog(store.db), onBacklog: metrics.onBacklog });
  closing.add(() => backlog.stop());
  const guard = createAddressGuard(settings);
  const webPush = { key: await loadOwnKey(store.db, keyring, VAPID_KEY, newVapidKey), contact: contactOf(settings) };
  const channels = openChannels({
    guard,
    proxy: proxyOf(settings),
    clock: systemClock,
    random: systemRandom,
    providers: { ...providersOf(settings), webPush },
  });
  closing.add(() => channels.close());
  const name = `${hostname()}/${randomUUID()}`;
  const sender = await startSender({
    name,
    store: senderStore(store.db, settings.operatorAddress !== undefined),
    broker,
    channels,
    keyring,
    clock: systemClock,
    random: systemRandom,
    log,
    metrics,
    tracing,
    maxInFlight: settings.maxInFlight,
    maxMailboxes: settings.maxMailboxes,
    partitions: settings.partitions,
    keepAnswers: settings.keepAnswers,
    keepAttemptsDays: settings.keepAttemptsDays,
  });
  closing.add(() => sender.stop());
  const notices = startNotices({
    ...settings,
    db: store.db,
    broker,
    channels,
    keyring,
    clock: systemClock,
    random: systemRandom,
    log,
    metrics,
  });
  closing.add(() => notices.stop());
  log.info({ sender: name, metricsPort: served.port }, "pushing");
  return { log, close: () => closing.closeAll() };
});
