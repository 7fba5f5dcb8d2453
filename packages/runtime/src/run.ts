import closeWithGrace from "close-with-grace";
import type { Logger } from "./log.ts";
import { SettingsError } from "./settings.ts";

/** sysexits.h, EX_CONFIG: starting again will not help, until somebody changes the settings. */
export const EXIT_SETTINGS = 78;
const CLOSE_WITHIN_MS = 30_000;

/** Something that this process needs is not there; the message says what. Starting again later may help. */
export class CannotStart extends Error {
  override readonly name = "CannotStart";
}

export interface Running {
  log: Logger;
  /** Stops in good order; what it cannot finish is covered otherwise. */
  close(): Promise<void>;
}

/** By name: services have such errors of their own, which this package does not know. */
const OPERATORS_ERRORS = new Set(["StoreMismatch", "FolderInUse"]);

/** An error that is the operator's to mend, and whose message says how: it is shown without a stack trace. */
export function isOperators(error: unknown): error is Error {
  return error instanceof SettingsError || (error instanceof Error && OPERATORS_ERRORS.has(error.name));
}

/**
 * A service's life: starts it, closes it at SIGTERM, SIGINT or a fault that nobody caught, and ends the
 * process, after 30 s or at a second signal whatever may still be open.
 */
export async function runService(name: string, start: () => Promise<Running>): Promise<void> {
  let running: Running;
  try {
    running = await start();
  } catch (error) {
    if (isOperators(error)) {
      process.stderr.write(`${name} cannot start with these settings:\n${error.message.replace(/^/gmu, "  ")}\n`);
      process.exit(EXIT_SETTINGS);
    }
    if (error instanceof CannotStart) {
      process.stderr.write(`${name} cannot start: ${error.message}\n`);
      process.exit(1);
    }
    process.stderr.write(`${name} cannot start: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  }
  const { log } = running;
  closeWithGrace({ delay: CLOSE_WITHIN_MS, logger: false }, async ({ signal, err }) => {
    if (err !== undefined) log.fatal({ err }, "a fault that nobody caught: stopping");
    else log.info({ signal }, "stopping");
    try {
      await running.close();
    } catch (error) {
      log.fatal({ err: error }, "not all could be closed");
      throw error;
    }
    log.info("stopped");
  });
}
