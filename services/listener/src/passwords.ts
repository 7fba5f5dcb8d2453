import { availableParallelism } from "node:os";
import { hashPassword, normalPassword, verifyPassword } from "@messenger/runtime";
import { NO_PASSWORD } from "@messenger/store";
import { createHashQueue, type Urgency } from "./hash-queue.ts";

/** Hashes and checks passwords by argon2id, in turns by network. */
export interface Passwords {
  /** The hash in its PHC string form. @throws {Overloaded} */
  hash(password: string, network: string): Promise<string>;
  /**
   * Takes the same time whether there is a hash or not: null is an account that does not exist, and no password is that of
   * an account without one. @throws {Overloaded}
   */
  matches(passwordHash: string | null, password: string, from: { network: string; urgency: Urgency }): Promise<boolean>;
  /** @throws {Overloaded} where `matches` would, at this moment. */
  checkRoom(from: { network: string; urgency: Urgency }): void;
}

/** On one or two cores, more at a time would leave the event loop waiting; see the queue for the one beside them. */
const MAX_RUNNING = availableParallelism() > 2 ? 2 : 1;

export async function createPasswords(): Promise<Passwords> {
  const nobody = await hashPassword("the password of an account that does not exist");
  const queue = createHashQueue(MAX_RUNNING);
  return {
    checkRoom: ({ urgency, network }) => queue.checkRoom(urgency, network),
    hash: (password, network) => queue.run("sign-up", network, () => hashPassword(password)),
    async matches(passwordHash, password, { network, urgency }) {
      const hash = passwordHash === NO_PASSWORD ? null : passwordHash;
      const verify = (as: "normal" | "given"): Promise<boolean> =>
        queue.run(urgency, network, () => verifyPassword(hash ?? nobody, password, as));
      // Before passwords were normalized, one was hashed as it was given.
      const matched = (await verify("normal")) || (normalPassword(password) !== password && (await verify("given")));
      return matched && hash !== null;
    },
  };
}
