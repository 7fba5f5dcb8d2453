import { emailKey, phoneKey, keyOr } from "@messenger/core";
import { blockUser, foldName, type FoundUser, listBlocks, searchUsers, unblockUser } from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";

/** Whom one finds, and whom one wants nothing from. */
export interface People {
  /** @throws {Refused} validation_error */
  search(by: Identity, query: string): Promise<readonly FoundUser[]>;
  listBlocks(by: Identity): Promise<readonly (FoundUser & { at: Date })[]>;
  /** @throws {Refused} validation_error, no_such_user, full */
  block(by: Identity, id: number): Promise<void>;
  unblock(by: Identity, id: number): Promise<void>;
}

const MIN_LENGTH = 3;

export function createPeople({ db }: Context): People {
  return {
    async search({ userId }, query) {
      const given = query.trim();
      const prefix = await foldName(db, given);
      if (Array.from(prefix).length < MIN_LENGTH) {
        throw new Refused("validation_error", `q has at least ${MIN_LENGTH} characters: the beginning of a name`);
      }
      return searchUsers(db, userId, {
        prefix,
        emailKey: given.includes("@") ? keyOr(emailKey, given) : null,
        phoneKey: /\d/u.test(given) ? keyOr(phoneKey, given) : null,
      });
    },
    listBlocks: ({ userId }) => listBlocks(db, userId),
    async block({ userId }, id) {
      if (id === userId) throw new Refused("validation_error", "nobody blocks themselves");
      const done = await blockUser(db, userId, id);
      if (done === "no-user") throw new Refused("no_such_user", "User not found.");
      if (done === "full") throw new Refused("full", "one blocks 1,000 users at most");
    },
    unblock: ({ userId }, id) => unblockUser(db, userId, id),
  };
}
