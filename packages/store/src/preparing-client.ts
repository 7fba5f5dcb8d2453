import pg from "pg";
import { arrayLiteral } from "./array-literal.ts";

/** Far more than there are statements with parameters here: their texts do not depend on what they are given, as lists travel as arrays. */
const MAX_STATEMENTS = 200;
const names = new Map<string, string>();

function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= MAX_STATEMENTS) return known;
  const name = `messenger_${names.size}`;
  names.set(text, name);
  return name;
}

/**
 * A connection on which every statement with parameters is prepared at its first use, so that it is parsed once, and planned a few times and not
 * each time. Planning was most of what a small batch cost: appending one message takes 0.6 ms, against 1.5.
 */
export class PreparingClient extends pg.Client {
  // The overloads of the base class: what is called as Kysely does, with a text and values, is prepared.
  override query(...args: unknown[]): never {
    const [text, values] = args;
    if (typeof text === "string" && Array.isArray(values) && values.length > 0 && args.length === 2) {
      const written = values.map((value: unknown) => (Array.isArray(value) ? (arrayLiteral(value) ?? value) : value));
      return super.query({ name: nameOf(text), text, values: written }) as never;
    }
    return super.query(...(args as [string])) as never;
  }
}
