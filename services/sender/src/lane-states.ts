export type LaneState =
  /** Level with all it knows. */
  | "idle"
  /** Pushing what came from the broker. */
  | "pushing"
  /** Reading the log, under a lease. */
  | "behind"
  /** For a due time, or for somebody else's lease, until a wake or a reload. */
  | "waiting"
  /** Nothing is pushed. */
  | "off";

/** Where an event stands to a lane. */
export type Place =
  /** The database has it as taken. */
  | "committed"
  /** Taken, but not committed; or in line. */
  | "underway"
  | "next"
  | "ahead";

export type Action = "release" | "keep" | "push" | "fall behind" | "cover";

/** What a lane does with an event. */
export const ON_EVENT: Record<LaneState, Record<Place, Action>> = {
  idle: { committed: "release", underway: "keep", next: "push", ahead: "fall behind" },
  pushing: { committed: "release", underway: "keep", next: "push", ahead: "fall behind" },
  behind: { committed: "release", underway: "cover", next: "cover", ahead: "cover" },
  waiting: { committed: "release", underway: "cover", next: "cover", ahead: "cover" },
  off: { committed: "release", underway: "release", next: "release", ahead: "release" },
};

/** What it does with a wake. */
export const ON_WAKE: Record<LaneState, Action> = {
  idle: "fall behind",
  pushing: "fall behind",
  behind: "cover",
  waiting: "fall behind",
  off: "release",
};
