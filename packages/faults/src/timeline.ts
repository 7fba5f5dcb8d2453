/** What happened, for who reads a failure. */
export interface Timeline {
  note(line: string): void;
  readonly lines: readonly string[];
}

const KEPT = 2_000;

/** `onLine` sees each line when it comes. */
export function createTimeline(onLine: (line: string) => void): Timeline {
  const startedAt = performance.now();
  const lines: string[] = [];
  return {
    note(text) {
      const line = `${((performance.now() - startedAt) / 1000).toFixed(2).padStart(8)} s  ${text}`;
      lines.push(line);
      if (lines.length > KEPT) lines.shift();
      onLine(line);
    },
    lines,
  };
}
