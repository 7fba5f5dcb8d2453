const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/u;
const MAX_LENGTH = 512;

/**
 * Reads a `traceparent` header (W3C Trace Context, 3.2): who called, as part of which trace. One of a later
 * version is understood as far as this one goes. Undefined where it is malformed, or all zeros: it is then
 * ignored, as the recommendation says.
 */
export function parseTraceparent(header: string | readonly string[] | undefined): string | undefined {
  if (typeof header !== "string" || header.length > MAX_LENGTH) return undefined;
  const [, version = "", trace = "", parent = "", flags = "", more] = TRACEPARENT.exec(header) ?? [];
  if (version === "" || version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (/^0+$/u.test(trace) || /^0+$/u.test(parent)) return undefined;
  return `00-${trace}-${parent}-${flags}`;
}

/** The parts of what {@link parseTraceparent} returned. */
export function partsOf(traceparent: string): { traceId: string; parentId: string; sampled: boolean } {
  const [, traceId = "", parentId = "", flags = ""] = traceparent.split("-");
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

const SAMPLED = 1;

/** The trace's id in a `traceparent`, for a log. */
export function traceIdOf(traceparent: string | undefined): string | undefined {
  return traceparent === undefined ? undefined : partsOf(traceparent).traceId;
}
