import type { BreakableServer, Server } from "@messenger/testkit";
import type { Rounds, Sample } from "./measurements.ts";

/** The servers that all sides of a run share; each is started when it is first asked for, and stays until the end. */
export interface Servers {
  postgres(): Promise<BreakableServer>;
  rabbit(): Promise<BreakableServer>;
  redis(): Promise<Server>;
  /** Answers every push with 204. */
  receiver(): Promise<Receiver>;
}

/** An nginx that takes every push. */
export interface Receiver {
  server: Server;
  /**
   * The address of the n-th endpoint. They are of several origins that all lead to it, so that the limit of
   * pushes for one origin is not what is measured. Of `timed` ones the arrivals are noted.
   */
  addressOf(n: number, timed?: "timed"): string;
  /** How many requests it has answered. */
  count(): Promise<number>;
  /**
   * When each event first arrived, by its id: milliseconds since the epoch. Only of requests whose path
   * begins with `/timed/`.
   */
  arrivals(): Promise<ReadonlyMap<string, number>>;
}

/** One of the things that a scenario compares. */
export interface Side {
  name: string;
  run(): Promise<readonly Sample[]>;
}

interface TurnOptions {
  /** The side whose ratios over the others are reported; without it there are none. */
  compared?: string;
  rounds?: number;
}

export interface Bench {
  /** Few and short runs: it shows that everything works, and roughly where one stands. */
  quick: boolean;
  /** The folder for CPU profiles of Messenger's processes; undefined where none are wanted. */
  profiles: string | undefined;
  servers: Servers;
  /**
   * Runs sides in turn, `rounds` times (A B A B …; 3, and 1 in a quick run), and returns the samples of each round.
   * The report on disk has them under `part` as soon as each side has run, so that a run that ends early keeps them.
   */
  inTurns(part: string, sides: readonly Side[], options?: TurnOptions): Promise<Rounds>;
  /** Adds a sentence to the report that a reader of this run must know. */
  note(text: string): void;
  /** Says what is going on. */
  step(text: string): void;
}

export interface Scenario {
  name: string;
  /** What it measures and beside whom, for the report. */
  about: string;
  /** Measures; what it measures reaches the report through `bench`. */
  run(bench: Bench): Promise<void>;
}
