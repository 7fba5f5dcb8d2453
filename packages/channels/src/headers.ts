const NAME = /^[!#$%&'*+.^_`|~\dA-Za-z-]{1,64}$/u;
const VALUE = /^[\t\u0020-\u007e]{0,1024}$/u;
const MOST = 20;
const MOST_BYTES = 8 * 1024;

/**
 * Names that are not an endpoint's to set: of the connection and the body (RFC 9110, 7.6.1; RFC 9112), of the
 * signature, and of the trace.
 */
const DENIED =
  /^(?:host|connection|keep-alive|te|trailer|upgrade|expect|via|forwarded|traceparent|tracestate|(?:content|transfer|proxy|webhook|sec|x-forwarded)-.*)$/u;

/** Why these are no headers for an endpoint of a user, as `name: value`; undefined where they are. */
export function refusalOfHeaders(headers: Readonly<Record<string, string>>): string | undefined {
  const all = Object.entries(headers);
  if (all.length > MOST) return `an endpoint has at most ${MOST} headers`;
  const names = new Set<string>();
  let bytes = 0;
  for (const [name, value] of all) {
    const lower = name.toLowerCase();
    bytes += name.length + value.length;
    if (!NAME.test(name)) return `${JSON.stringify(name)} is no name of a header (RFC 9110, 5.1)`;
    if (DENIED.test(lower)) return `the header ${lower} is not yours to set`;
    if (names.has(lower)) return `the header ${lower} is there twice`;
    if (!VALUE.test(value))
      return `the value of ${lower} has more than 1,024 characters, or others than those of ASCII that can be seen`;
    names.add(lower);
  }
  return bytes > MOST_BYTES ? `the headers of an endpoint have at most ${MOST_BYTES} bytes` : undefined;
}
