/** A crowd, or odd clients. Each is bounded in number and in time. */
export type Crowd =
  /** So many sign-ups at the same moment, and again when all are answered. */
  | { kind: "sign-ups"; atATime: number; network: string }
  /** Wrong passwords for accounts, from many networks in turn; every second request is a sign-up, if that is wanted. */
  | { kind: "guesses"; usernames: readonly string[]; perSecond: number; networks: number; signsUp: boolean }
  /**
   * Clients that write so many bytes of requests on a connection and read no answer, and again a second after
   * they were ended.
   */
  | { kind: "pipelined"; clients: number; bytes: number }
  /** Connections that say nothing, and connections that send a byte of a header or of a body once a second. */
  | { kind: "idle and slow"; idle: number; slow: number };

export interface CrowdOrder {
  url: string;
  crowd: Crowd;
  /** After this time it ends by itself. */
  seconds: number;
}

/** How many requests or connections ended how: by the status of the answer, or the error. */
export type CrowdOutcome = Record<string, number>;

export interface CrowdDeps<Kind extends Crowd["kind"]> {
  url: URL;
  crowd: Extract<Crowd, { kind: Kind }>;
  /** Aborted when the crowd is to end. */
  over: AbortSignal;
  count: (ended: string) => void;
  /** Tells that all of the crowd is there. */
  ready: () => void;
}
