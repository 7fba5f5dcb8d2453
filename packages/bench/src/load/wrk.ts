import { fileURLToPath } from "node:url";
import { needProgram, runCommand } from "@messenger/testkit";

const SCRIPT = fileURLToPath(new URL("requests.lua", import.meta.url));

export interface ClosedLoop {
  /** Answered requests. */
  count: number;
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

/**
 * Sends requests over so many connections, each as soon as the one before is answered, by wrk. @throws where
 * one fails.
 */
export async function runWrk(options: {
  url: string;
  requests: string;
  connections: number;
  seconds: number;
}): Promise<ClosedLoop> {
  const wrk = await needProgram("wrk", "wrk");
  const { url, requests, connections, seconds } = options;
  const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "20s", "-s", SCRIPT, url, "--", requests];
  const output = await runCommand(wrk, args);
  const line = output.split("\n").find((candidate) => candidate.startsWith('{"requests"'));
  if (line === undefined) throw new Error(`wrk printed no figures: ${output}`);
  const answer = JSON.parse(line) as { requests: number; seconds: number; failed: number; p50: number; p99: number };
  if (answer.failed > 0) throw new Error(`${answer.failed} of ${answer.requests} requests failed`);
  return { count: answer.requests, perSecond: answer.requests / answer.seconds, p50: answer.p50, p99: answer.p99 };
}
