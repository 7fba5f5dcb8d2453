/**
 * The quality (RFC 9110, 12.5.1) that an `Accept` header gives a media type: that of the most specific range
 * that matches it; 0 if none does.
 */
function qualityOf(accept: string, type: string): number {
  const [major] = type.split("/");
  let best = { precision: -1, quality: 0 };
  for (const part of accept.split(",")) {
    const [range = "", ...parameters] = part.split(";").map((piece) => piece.trim().toLowerCase());
    const precision = [`*/*`, `${major}/*`, type].indexOf(range);
    if (precision <= best.precision) continue;
    const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
    const quality = weight === undefined ? 1 : Number(weight);
    best = { precision, quality: Number.isFinite(quality) ? quality : 0 };
  }
  return best.quality;
}

/** Programs say the same in each of their requests. */
const known = new Map<string, boolean>();
const MAX_KNOWN = 100;
const MAX_LENGTH = 1_000;

/** Whether a request would rather have JSON than text. A tie, or no preference, goes to text. */
export function prefersJson(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  const found = known.get(accept);
  if (found !== undefined) return found;
  const prefers = readPreference(accept);
  if (known.size < MAX_KNOWN) known.set(accept, prefers);
  return prefers;
}

function readPreference(accept: string): boolean {
  if (accept.length > MAX_LENGTH) return false; // nobody's preference
  const json = Math.max(qualityOf(accept, "application/json"), qualityOf(accept, "application/problem+json"));
  return json > qualityOf(accept, "text/plain");
}
