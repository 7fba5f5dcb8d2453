import { type DestinationStream, destination, type Logger, pino } from "pino";

export type { Logger };
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const MAX_CAUSES = 4;
const WARN = 40;

/**
 * What a log may tell of an error: its name, code, constraint and where it came from. A database's messages
 * are left out, because they hold values: `Key (email)=(…) already exists`.
 */
export function describeError(error: unknown, depth = 0): object {
  if (!(error instanceof Error)) return { name: typeof error };
  const { code, constraint, severity } = error as { code?: unknown; constraint?: unknown; severity?: unknown };
  const frames = (error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
  return {
    name: error.name,
    message: severity === undefined ? error.message : undefined,
    code,
    constraint,
    stack: frames.join("\n"),
    cause: error.cause === undefined || depth >= MAX_CAUSES ? undefined : describeError(error.cause, depth + 1),
  };
}

const BUFFER_BYTES = 8 * 1024;
const FLUSH_EVERY_MS = 100;

/** The time, as a part of a line: made once for all lines of a millisecond. */
function createTimestamp(): () => string {
  let made = 0;
  let text = "";
  return () => {
    const now = Date.now();
    if (now !== made) {
      made = now;
      text = `,"time":"${new Date(now).toISOString()}"`;
    }
    return text;
  };
}

/**
 * A logger that writes JSON lines to the standard output. Lines are written together, at the latest after 100
 * ms, and not by a system call for each request. Warnings and worse are written at once, with what is before
 * them; so are the last lines of a process that exits. One that is killed loses what it said in its last 100
 * ms.
 */
export function createLogger(name: string, level: LogLevel): Logger {
  const output = destination({ dest: 1, minLength: BUFFER_BYTES, sync: true });
  let unwritten = false;
  // Not `flushSync`: where nobody reads the output any more (EPIPE), that tries for ever, and the process neither works nor ends.
  const flush = (): void => {
    if (unwritten) output.flush();
    unwritten = false;
  };
  setInterval(flush, FLUSH_EVERY_MS).unref();
  process.on("exit", flush);
  // pino tells a stream with this mark of each line's level.
  const stream: DestinationStream & { lastLevel: number } = {
    [Symbol.for("pino.metadata")]: true,
    lastLevel: 0,
    write(line: string) {
      output.write(line);
      unwritten = true;
      if (this.lastLevel >= WARN) flush();
    },
  };
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: createTimestamp(),
      serializers: { err: describeError },
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
}
