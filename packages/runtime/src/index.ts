import "./thread-pool.ts";

export { type Backends, openBackends } from "./backends.ts";
export { serviceSettings } from "./common-settings.ts";
export { type Closing, createClosing } from "./close-all.ts";
export { createLogger, LOG_LEVELS, type Logger, type LogLevel } from "./log.ts";
export { Counter, createRegistry, Gauge, Histogram, Registry, serveMetrics } from "./metrics.ts";
export { type DataFolder, openDataFolder } from "./data-folder.ts";
export { FolderInUse } from "./folder-lock.ts";
export { loadOwnKey } from "./own-key.ts";
export { ownSecret } from "./own-secret.ts";
export { newInvitation, newLastingToken, newToken, tokenHash } from "./tokens.ts";
export { hashPassword, normalPassword, verifyPassword } from "./password-hash.ts";
export { CannotStart, EXIT_SETTINGS, isOperators, runService, type Running } from "./run.ts";
export {
  integer,
  list,
  masterSecret,
  oneOf,
  optional,
  optionalMasterSecrets,
  readSettings,
  publicUrlSetting,
  secretText,
  secretUrl,
  type Setting,
  SettingsError,
  type SettingsValues,
  string,
  webUrl,
} from "./settings.ts";
export { openTracing, type Span, type Tracing, type TracingOptions, tracingSettings } from "./tracing.ts";
