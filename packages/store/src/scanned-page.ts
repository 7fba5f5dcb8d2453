/** A row of a statement that looks at up to so many rows, of which not all are wanted. */
interface Scanned {
  /** Which of those looked at it is: 1, 2, … */
  n: number;
  wanted: boolean;
}

/**
 * The page of a list of which few rows may be wanted. `rows` are those that are, and the last one that was looked at
 * if there may be more: `limit + 1` at most. `next` is where to go on; null at the end.
 */
export function scannedPage<Row extends Scanned, Place>(
  rows: readonly Row[],
  { limit, lookedAt, placeOf }: { limit: number; lookedAt: number; placeOf: (row: Row) => Place },
): { rows: readonly Row[]; next: Place | null } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const goesOn = rows.length > limit || last?.n === lookedAt;
  return { rows: page.filter(({ wanted }) => wanted), next: goesOn && last !== undefined ? placeOf(last) : null };
}
