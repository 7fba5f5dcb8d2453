import type { Place } from "@messenger/store";
import { Refused } from "../refused.ts";

/** Which part of a list is wanted. */
export interface PageRequest {
  limit?: number | undefined;
  /** Of the page before. */
  cursor?: string | undefined;
}

export interface Page<Item> {
  items: readonly Item[];
  nextCursor: string | null;
  /** The last event of the reader's inbox that is in the list. */
  seq: number;
}

interface Row<Id, Item> extends Place<Id> {
  item: Item;
}

const DEFAULT_LIMIT = 50;
const INTEGER = /^\d{1,16}$/u;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;

/** Reads the id of a place; undefined where it is none. */
type ReadId<Id> = (text: string) => Id | undefined;

export const placeOfNumber: ReadId<number> = (text) => (INTEGER.test(text) ? Number(text) : undefined);
export const placeOfId: ReadId<string> = (text) => (UUID.test(text) ? text : undefined);

/** The place that a cursor stands for. @throws {Refused} validation_error */
export function readCursor<Id>(cursor: string, readId: ReadId<Id>): Place<Id> {
  const [at = "", id = "", ...more] = Buffer.from(cursor, "base64url").toString("latin1").split(" ");
  const read = readId(id);
  if (!INTEGER.test(at) || read === undefined || more.length > 0) {
    throw new Refused("validation_error", "cursor is not valid: start again without it");
  }
  return { at: Number(at), id: read };
}

export const cursorOf = ({ at, id }: Place<unknown>): string => Buffer.from(`${at} ${String(id)}`).toString("base64url");

/**
 * Reads one page, and whether there is another: `read` is asked for one more than is wanted. @throws
 * {Refused} validation_error
 */
export async function readPage<Id, Item>(
  { limit = DEFAULT_LIMIT, cursor }: PageRequest,
  readId: ReadId<Id>,
  read: (after: Place<Id> | null, limit: number) => Promise<{ seq: number; rows: readonly Row<Id, Item>[] }>,
): Promise<Page<Item>> {
  const { seq, rows } = await read(cursor === undefined ? null : readCursor(cursor, readId), limit + 1);
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map(({ item }) => item),
    nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null,
    seq,
  };
}

/** Likewise, of a list that is ordered by ids alone, and belongs to nobody's inbox. @throws {Refused} validation_error */
export function readPageById<Item extends { id: number }>(
  request: PageRequest,
  read: (after: number, limit: number) => Promise<readonly Item[]>,
): Promise<Page<Item>> {
  return readPage(request, placeOfNumber, async (after, limit) => {
    const rows = await read(after?.id ?? 0, limit);
    return { seq: 0, rows: rows.map((item) => ({ at: 0, id: item.id, item })) };
  });
}
