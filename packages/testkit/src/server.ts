/** A server that tests were given, or started. */
export interface Server {
  readonly url: string;
  /** Where it comes from, for a person. */
  readonly origin: string;
  /** The first of its processes, where they are this machine's own to look at. */
  readonly pid?: number | undefined;
  stop(): Promise<void>;
}

/** A server of a test's own, which it may break. */
export interface BreakableServer extends Server {
  /** The folder of its data, where that is on this machine. */
  readonly folder?: string;
  /** Kills it at once; its data stay. */
  kill(): Promise<void>;
  /** Kills it at once, and empties its data. */
  destroy(): Promise<void>;
  /** Starts it again, on the same port, with what data it has. */
  startAgain(): Promise<void>;
  /**
   * Of a database: remembers what it has now, from the disk, while it is away for a moment. Undefined where
   * that cannot be done.
   */
  snapshot?: () => Promise<void>;
  /** Kills it, and starts it again with what it had then, as after a recovery to a point in time. */
  rollBack?: () => Promise<void>;
}

/** A way to get a server; undefined where this machine does not offer it. */
export type Way = () => Promise<BreakableServer | undefined>;

/** Tries one way after the other. @throws with what each of them lacks. */
export async function firstOf(name: string, ways: readonly { origin: string; way: Way }[]): Promise<BreakableServer> {
  const faults: string[] = [];
  for (const { origin, way } of ways) {
    try {
      const server = await way();
      if (server !== undefined) return server;
      faults.push(`${origin}: there is none`);
    } catch (error) {
      faults.push(`${origin}: ${(error as Error).message}`);
    }
  }
  const list = faults.map((fault) => `  - ${fault}`).join("\n");
  throw new Error(
    `${name} is needed, and there is none:\n${list}\n` +
      `Give one by TEST_DATABASE_URL or TEST_AMQP_URL, start a Docker engine, or install ${name} on this machine.`,
  );
}
