import { hash, verify } from "@node-rs/argon2";
import { BatcherFull, createBatcher, systemClock } from "@messenger/core";
import { Overloaded } from "./append-queue.ts";

/** Hashes and checks passwords by argon2id. */
export interface Passwords {
  /** The hash in its PHC string form. @throws {Overloaded} */
  hash(password: string): Promise<string>;
  /** Takes the same time whether there is a hash or not: null is an account that does not exist. @throws {Overloaded} */
  matches(passwordHash: string | null, password: string): Promise<boolean>;
}

/** `Algorithm.Argon2id`, which the package exports as a const enum only. */
const ARGON2ID = 2;
/** OWASP's second recommendation: 19 MiB, two passes, one lane. */
const ARGON2 = { algorithm: ARGON2ID, memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };
/** Each takes a thread of the pool, which name look-ups need, too. */
const MAX_RUNNING = 2;
const MAX_WAITING = 64;

export async function createPasswords(): Promise<Passwords> {
  const nobody = await hash("the password of an account that does not exist", ARGON2);
  const queue = createBatcher<() => Promise<unknown>, unknown>({
    clock: systemClock,
    maxBatch: 1,
    maxRunning: MAX_RUNNING,
    maxWaiting: MAX_WAITING,
    run: async ([work]) => [await (work as () => Promise<unknown>)()],
  });

  async function enqueue<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return (await queue.add(work)) as Result;
    } catch (error) {
      if (error instanceof BatcherFull) throw new Overloaded("too many sign in at this moment", { cause: error });
      throw error;
    }
  }

  return {
    hash: (password) => enqueue(() => hash(password, ARGON2)),
    async matches(passwordHash, password) {
      const matched = await enqueue(() => verify(passwordHash ?? nobody, password));
      return matched && passwordHash !== null;
    },
  };
}
