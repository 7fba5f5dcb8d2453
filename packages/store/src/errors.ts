/**
 * SQLSTATE classes after which it is unknown whether a statement was carried out, or in which it was not for
 * a passing reason.
 */
const PASSING = new Set([
  "40001", // serialization failure
  "40P01", // deadlock
  "55P03", // lock not available
  "57014", // took longer than a statement may
  "57P01", // shut down by the administrator
  "57P02", // crash of another backend
  "57P03", // starting up
  "55000", // not now: a replica that is not promoted yet has no timeline to write to
  "25006", // read-only: a replica that is not promoted yet
  "58030", // its disk fails
]);

function property(error: unknown, name: "code" | "constraint"): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const value: unknown = (error as Record<string, unknown>)[name];
  return typeof value === "string" ? value : undefined;
}

/** The unique constraint that a statement broke, if that is why it failed. */
export function constraintOf(error: unknown): string | undefined {
  return property(error, "code") === "23505" ? property(error, "constraint") : undefined;
}

/**
 * Why a statement failed, if it is because the database was not there, or would not have it just then: it may
 * have been carried out, and is worth trying again. Undefined where the statement itself is at fault.
 */
export function whyUnavailable(error: unknown): string | undefined {
  const code = property(error, "code");
  const away = "the database does not answer";
  if (code === undefined) {
    // What pg says of a broken or refused connection has no code, or that of the socket.
    const lost = error instanceof Error && /connection|timeout|terminated|not queryable/iu.test(error.message);
    return lost ? away : undefined;
  }
  if (code === "53100") return "the database's disk is full";
  if (code.startsWith("53")) return "the database has no memory or connections left";
  return PASSING.has(code) || code.startsWith("08") || /^E[A-Z]+$/u.test(code) ? away : undefined;
}

/** Whether {@link whyUnavailable} knows a reason. */
export function isUnavailable(error: unknown): boolean {
  return whyUnavailable(error) !== undefined;
}
