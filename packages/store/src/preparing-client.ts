import pg from "pg";
import { arrayLiteral } from "./array-literal.ts";

/**
 * Far more than there are statements with parameters here: their texts do not depend on what they are given,
 * as lists travel as arrays.
 */
const MAX_STATEMENTS = 200;
/** What pg says of a statement that was not answered within `query_timeout`. */
const READ_TIMEOUT = "Query read timeout";
const names = new Map<string, string>();

function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= MAX_STATEMENTS) return known;
  const name = `messenger_${names.size}`;
  names.set(text, name);
  return name;
}

/**
 * A connection on which every statement with parameters is prepared at its first use, so that it is parsed
 * once, and planned a few times and not each time. Planning was most of what a small batch cost: appending
 * one message takes 0.6 ms, against 1.5.
 */
export class PreparingClient extends pg.Client {
  // The overloads of the base class: what is called as Kysely does, with a text and values, is prepared.
  override query(...args: unknown[]): never {
    const [text, values] = args;
    if (typeof text === "string" && Array.isArray(values) && values.length > 0 && args.length === 2) {
      const written = values.map((value: unknown) => (Array.isArray(value) ? (arrayLiteral(value) ?? value) : value));
      return this.#watch(super.query({ name: nameOf(text), text, values: written })) as never;
    }
    return this.#watch(super.query(...(args as [string]))) as never;
  }

  /**
   * Ends the connection when a statement on it was not answered in time: the server, or what is between, has
   * fallen silent. Pg would keep it, with a statement that waits for its answer before all later ones.
   */
  #watch<Result>(result: Result): Result {
    if (result instanceof Promise) {
      result.catch((error: unknown) => {
        if (error instanceof Error && error.message === READ_TIMEOUT) this.#destroy();
      });
    }
    return result;
  }

  #destroy(): void {
    this.end().catch(() => undefined); // at once marked as ending, so that the pool does not hand it out again
    this.#stream().destroy();
  }

  #stream(): { destroy(): void } {
    return (this as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
  }
}
