import { checkCidr } from "@messenger/channels";
import { apiSettings, isLocalOnly } from "@messenger/listener";
import {
  createLogger,
  integer,
  list,
  LOG_LEVELS,
  masterSecret,
  oneOf,
  optional,
  optionalMasterSecrets,
  readSettings,
  runService,
  string,
  tracingSettings,
} from "@messenger/runtime";
import { contactOf, providerSettings, providersOf, proxyOf, senderSettings } from "@messenger/sender";
import { startStandalone } from "./standalone.ts";
import { welcome } from "./welcome.ts";

/** One can push to programs on the same machine: that is what somebody tries first. */
const LOOPBACK = ["127.0.0.0/8", "::1/128"];

await runService("messenger", async () => {
  const settings = readSettings(
    {
      ...apiSettings,
      ...senderSettings,
      notify: optional(apiSettings.notify),
      keepAnswers: optional(senderSettings.keepAnswers),
      ...providerSettings,
      ...tracingSettings,
      host: string("HOST", { fallback: "127.0.0.1" }),
      port: integer("PORT", { fallback: 5000, min: 0, max: 65_535 }),
      dataDir: string("DATA_DIR", { fallback: "./data" }),
      logLevel: oneOf("LOG_LEVEL", LOG_LEVELS, "warn"),
      metricsPort: integer("METRICS_PORT", { fallback: 0, min: 0, max: 65_535 }),
      metricsHost: string("METRICS_HOST", { fallback: "127.0.0.1" }),
      partitions: integer("PARTITIONS", { fallback: 16, min: 1, max: 256 }),
      secret: optional(masterSecret("MESSENGER_SECRET")),
      previousSecrets: optionalMasterSecrets("MESSENGER_SECRET_PREVIOUS"),
      allowCidrs: optional(list("PUSH_ALLOW_CIDRS", { fallback: [], check: checkCidr })),
    },
    process.env,
  );
  const log = createLogger("messenger", settings.logLevel);
  const localHostsOnly = isLocalOnly(settings);
  // Whoever can make an account could have this machine's other programs pushed to: by default only where that is nobody else.
  const allowCidrs = settings.allowCidrs ?? (localHostsOnly ? LOOPBACK : []);
  // Likewise what those programs answer.
  const keepAnswers = settings.keepAnswers ?? (localHostsOnly ? "all" : "public");
  // Whoever reaches it can send what its owner can.
  const notify = settings.notify ?? (localHostsOnly ? "everyone" : "admins");
  const standalone = await startStandalone(
    {
      ...settings,
      allowCidrs,
      keepAnswers,
      providers: providersOf(settings),
      pushContact: contactOf(settings),
      proxy: proxyOf(settings),
      settings: { ...settings, notify, localHostsOnly },
      tracing: settings,
    },
    log,
  );
  process.stdout.write(welcome(standalone, allowCidrs));
  return {
    log,
    async close() {
      await standalone.close();
      process.stdout.write("Messenger has stopped.\n");
    },
  };
});
