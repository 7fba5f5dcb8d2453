import { isUtf8 } from "node:buffer";
import secureJson from "secure-json-parse";
import { Refused } from "../refused.ts";

const malformed = (detail: string): Refused => new Refused("malformed_body", detail);

/**
 * Looks through all strings of a value for what cannot be stored as text: Postgres has no NUL, and a lone
 * surrogate is no character.
 * @throws {Refused} malformed_body
 */
export function refuseUnstorable(value: unknown): void {
  if (typeof value === "string") {
    if (value.includes("\0")) throw malformed("a string holds a NUL character");
    if (!value.isWellFormed()) throw malformed("a string holds half a surrogate pair");
    return;
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    refuseUnstorable(key);
    refuseUnstorable(item);
  }
}

/**
 * Reads a JSON body. An empty one counts as none. Both characters that are refused can only be written as
 * escapes, so a body without any is not searched.
 * @throws {Refused} malformed_body
 */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw malformed("the body is not UTF-8");
  const text = body.toString("utf8");
  let value: unknown;
  try {
    value = secureJson.parse(text, { protoAction: "error", constructorAction: "error" });
    if (text.includes("\\u")) refuseUnstorable(value);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw malformed(error instanceof RangeError ? "the body is nested too deeply" : "the body is not JSON");
  }
  return value;
}

/**
 * Reads a form (`application/x-www-form-urlencoded`): an object of strings; of a name that is there twice, the
 * last one.
 * @throws {Refused} malformed_body
 */
export function parseFormBody(body: Buffer): Record<string, string> {
  if (!isUtf8(body)) throw malformed("the body is not UTF-8");
  const form = Object.fromEntries(new URLSearchParams(body.toString()));
  refuseUnstorable(form);
  return form;
}
