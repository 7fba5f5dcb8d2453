import { checkCidr, createAddressGuard } from "@messenger/channels";
import { systemClock, systemRandom } from "@messenger/core";
import {
  createClosing,
  createLogger,
  createRegistry,
  integer,
  list,
  openBackends,
  openTracing,
  readSettings,
  runService,
  serveMetrics,
  serviceSettings,
  string,
} from "@messenger/runtime";
import { startListener } from "./listener.ts";
import { apiSettings, isLocalOnly } from "./settings.ts";

const CLOSE_GRACE_MS = 10_000;
/** A client is answered within ten seconds. */
const STATEMENT_TIMEOUT_MS = 8_000;

await runService("listener", async () => {
  const settings = readSettings(
    {
      ...serviceSettings,
      ...apiSettings,
      host: string("HOST", { fallback: "127.0.0.1" }),
      port: integer("PORT", { fallback: 5000, min: 0, max: 65_535 }),
      drainSeconds: integer("DRAIN_SECONDS", { fallback: 0, min: 0, max: 20 }),
      allowCidrs: list("PUSH_ALLOW_CIDRS", { fallback: [], check: checkCidr }),
    },
    process.env,
  );
  const log = createLogger("listener", settings.logLevel);
  const closing = createClosing();
  const registry = createRegistry();
  const backends = await openBackends({ ...settings, registry, statementTimeoutMs: STATEMENT_TIMEOUT_MS }, log, closing);
  const tracing = await openTracing("listener", settings);
  closing.add(() => tracing?.close());
  const metrics = await serveMetrics({ registry, host: settings.metricsHost, port: settings.metricsPort });
  closing.add(() => metrics.close());
  const listener = await startListener({
    ...backends,
    guard: createAddressGuard({ allowCidrs: settings.allowCidrs }),
    clock: systemClock,
    random: systemRandom,
    log,
    registry,
    tracing,
    settings: { ...settings, localHostsOnly: isLocalOnly(settings) },
    tokenTtlSeconds: settings.tokenTtlSeconds,
    host: settings.host,
    port: settings.port,
    closeGraceMs: CLOSE_GRACE_MS,
    drainMs: settings.drainSeconds * 1000,
  });
  closing.add(() => listener.close());
  log.info({ url: listener.url, metricsPort: metrics.port }, "listening");
  return { log, close: () => closing.closeAll() };
});
