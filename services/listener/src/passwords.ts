import { availableParallelism } from "node:os";
import { hash, verify } from "@node-rs/argon2";
import { createHashQueue, type Urgency } from "./hash-queue.ts";

/** Hashes and checks passwords by argon2id, in turns by network. */
export interface Passwords {
  /** The hash in its PHC string form. @throws {Overloaded} */
  hash(password: string, network: string): Promise<string>;
  /**
   * Takes the same time whether there is a hash or not: null is an account that does not exist. @throws
   * {Overloaded}
   */
  matches(passwordHash: string | null, password: string, from: { network: string; urgency: Urgency }): Promise<boolean>;
  /** @throws {Overloaded} where `matches` would, at this moment. */
  checkRoom(from: { network: string; urgency: Urgency }): void;
}

/** `Algorithm.Argon2id`, which the package exports as a const enum only. */
const ARGON2ID = 2;
/** OWASP's second recommendation: 19 MiB, two passes, one lane. */
const ARGON2 = { algorithm: ARGON2ID, memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };
/** On one or two cores, a second hash would leave the event loop waiting. */
const MAX_RUNNING = availableParallelism() > 2 ? 2 : 1;

/** As it is hashed and compared: é in its two forms is one password (NIST SP 800-63B, 3.1.1.2). */
export const normalPassword = (password: string): string => password.normalize("NFKC");

export async function createPasswords(): Promise<Passwords> {
  const nobody = await hash("the password of an account that does not exist", ARGON2);
  const queue = createHashQueue(MAX_RUNNING);
  return {
    checkRoom: ({ urgency, network }) => queue.checkRoom(urgency, network),
    hash: (password, network) => queue.run("sign-up", network, () => hash(normalPassword(password), ARGON2)),
    async matches(passwordHash, password, { network, urgency }) {
      const normal = normalPassword(password);
      const matched = await queue.run(urgency, network, () => verify(passwordHash ?? nobody, normal));
      if (matched || normal === password) return matched && passwordHash !== null;
      // Before passwords were normalized, it was hashed as it was given.
      const asGiven = await queue.run(urgency, network, () => verify(passwordHash ?? nobody, password));
      return asGiven && passwordHash !== null;
    },
  };
}
