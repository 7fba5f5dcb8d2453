type Cell = string | number | null;

/** Writes rows as a table with a line of headings; each value in a line of its own, and cut where it is long. */
export function printTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): void {
  if (rows.length === 0) {
    process.stdout.write("None.\n");
    return;
  }
  const cells = [headings, ...rows].map((row) => row.map(cellOf));
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  for (const row of cells)
    process.stdout.write(
      `${row
        .map((cell, n) => cell.padEnd(widths[n] ?? 0))
        .join("  ")
        .trimEnd()}\n`,
    );
}

const LONGEST = 90;

/** What a terminal would take for a command is not passed on to it. */
function cellOf(value: Cell): string {
  const text = value === null ? "-" : String(value);
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}]/gu, "·");
  return plain.length <= LONGEST ? plain : `${plain.slice(0, LONGEST - 1)}…`;
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
