import type { NewToken } from "@messenger/contracts";
import { newLastingToken, tokenHash } from "@messenger/runtime";
import { type ApiTokenRow, createApiToken, endApiToken, listApiTokens, NO_PASSWORD } from "@messenger/store";
import { API_TOKEN_PREFIX } from "../api-tokens.ts";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import type { Sessions } from "./sessions.ts";

const MAX_TOKENS = 50;
const DAYS = 90;

/** Tokens that programs use in a user's name. */
export interface TokensOfUser {
  list(by: Pick<Identity, "userId">): Promise<readonly ApiTokenRow[]>;
  /** One of a bot, by its owner's password. @throws {Refused} wrong_password, too_many_attempts, full */
  createFor(by: Identity, bot: number, given: NewToken, ip: string): Promise<{ made: ApiTokenRow; token: string }>;
  /** @throws {Refused} wrong_password, too_many_attempts, full */
  create(by: Identity, given: NewToken, ip: string): Promise<{ made: ApiTokenRow; token: string }>;
  /** @throws {Refused} no_such_token */
  delete(by: Pick<Identity, "userId">, id: number): Promise<void>;
}

export function createTokensOfUser(context: Context, sessions: Pick<Sessions, "checkAll">): TokensOfUser {
  const { db, random, revocations } = context;

  async function create(
    userId: number,
    passwordHash: string,
    { name, scopes, expires_in_days: days = DAYS }: NewToken,
  ): Promise<{ made: ApiTokenRow; token: string }> {
    const token = newLastingToken(random, API_TOKEN_PREFIX);
    const hash = tokenHash(token);
    const made = await createApiToken(db, { userId, passwordHash, name, scopes, days, hash, most: MAX_TOKENS });
    if (made === "changed")
      throw new Refused("wrong_password", "the password was changed meanwhile, or the account is suspended");
    if (made === "full") throw new Refused("full", `an account has at most ${MAX_TOKENS} tokens`);
    return { made, token };
  }

  return {
    list: ({ userId }) => listApiTokens(db, userId),
    create: async (by, given, ip) => create(by.userId, await sessions.checkAll(by, given, ip), given),
    async createFor(by, bot, given, ip) {
      await sessions.checkAll(by, given, ip);
      return create(bot, NO_PASSWORD, given);
    },
    async delete({ userId }, id) {
      if (!(await endApiToken(db, userId, id))) {
        throw new Refused("no_such_token", "there is no such token, or it is not yours, or it has ended");
      }
      revocations.add(id);
    },
  };
}
