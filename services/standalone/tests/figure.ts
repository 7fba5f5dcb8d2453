/**
 * Prints a figure beside the tests: it is to be read, and fails nothing, because machines that run tests are
 * shared.
 */
export function figure(what: string, value: string): void {
  process.stderr.write(`      ${what}: ${value}\n`);
}

/** Milliseconds since `startedAt`, by `performance.now()`. */
export const msSince = (startedAt: number): string => `${Math.round(performance.now() - startedAt)} ms`;
