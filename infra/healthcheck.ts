/** Exits with 0 if HEALTH_URL answers 200 within 4 s. */
const url = process.env["HEALTH_URL"] ?? "http://127.0.0.1:5000/api/health/ready";
try {
  const { status } = await fetch(url, { signal: AbortSignal.timeout(4_000) });
  process.stdout.write(`${url} answers ${status}\n`);
  process.exitCode = status === 200 ? 0 : 1;
} catch (error) {
  process.stdout.write(`${url} does not answer: ${String((error as Error).cause ?? error)}\n`);
  process.exitCode = 1;
}
