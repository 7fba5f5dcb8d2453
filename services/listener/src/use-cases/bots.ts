import type { HookMessage, Message, NewBot, NewToken } from "@messenger/contracts";
import { checkUsername, InvalidName, usernameKey } from "@messenger/core";
import { newLastingToken, tokenHash } from "@messenger/runtime";
import {
  type ApiTokenRow,
  type BotRow,
  createBot,
  createHook,
  endHook,
  type HookRow,
  isBotOf,
  listBots,
  listHooks,
  useHook,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { noSuchConversation, Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import type { TokensOfUser } from "./api-tokens.ts";
import type { Messages, Sending } from "./messages.ts";
import type { Users } from "./users.ts";

/** Accounts that programs are, and URLs that programs write to. */
export interface Bots {
  list(by: Identity): Promise<readonly BotRow[]>;
  /** @throws {Refused} validation_error, taken, full */
  create(by: Identity, given: NewBot): Promise<BotRow>;
  /** @throws {Refused} no_such_user */
  delete(by: Identity, id: number): Promise<void>;
  /** @throws {Refused} no_such_user, wrong_password, too_many_attempts, full */
  createToken(by: Identity, id: number, given: NewToken, ip: string): Promise<{ made: ApiTokenRow; token: string }>;
  /** @throws {Refused} no_such_user */
  listTokens(by: Identity, id: number): Promise<readonly ApiTokenRow[]>;
  /** @throws {Refused} no_such_user, no_such_token */
  deleteToken(by: Identity, id: number, token: number): Promise<void>;
  listHooks(by: Identity, conversation: number): Promise<readonly HookRow[]>;
  /** @throws {Refused} no_such_conversation, full */
  createHook(by: Identity, conversation: number, name: string, origin: string): Promise<{ made: HookRow; url: string }>;
  /** @throws {Refused} no_such_token */
  deleteHook(by: Identity, conversation: number, id: number): Promise<void>;
  /** @throws {Refused} no_such_token, validation_error, … */
  post(token: string, sending: Sending<HookMessage>): Promise<Message>;
}

const HOOK_PREFIX = "mh_";
const HOOK = /^mh_[\w-]{43}$/u;

const noSuchHook = (): Refused => new Refused("no_such_token", "there is no such webhook, or it has ended");

export function createBots(
  { db, random, settings, revocations }: Context,
  deps: { tokens: TokensOfUser; users: Users; messages: Messages },
): Bots {
  /** @throws {Refused} no_such_user */
  async function requireOwn({ userId }: Identity, bot: number): Promise<void> {
    if (!(await isBotOf(db, userId, bot))) throw new Refused("no_such_user", "you have no such bot");
  }

  return {
    list: ({ userId }) => listBots(db, userId),
    async create({ userId }, { username, full_name: fullName = null }) {
      try {
        checkUsername(username);
      } catch (error) {
        if (error instanceof InvalidName) throw new Refused("validation_error", error.message);
        throw error;
      }
      const made = await createBot(db, userId, { username, usernameKey: usernameKey(username), fullName });
      if (made === "taken") throw new Refused("taken", "this username is taken");
      if (made === "full") throw new Refused("full", "one has twenty bots at most");
      if (made === "gone") throw new Refused("unauthorized", "the account was deleted");
      return made;
    },
    async delete(by, id) {
      await requireOwn(by, id);
      await deps.users.deleteBot(id);
    },
    async createToken(by, id, given, ip) {
      await requireOwn(by, id);
      return deps.tokens.createFor(by, id, given, ip);
    },
    async listTokens(by, id) {
      await requireOwn(by, id);
      return deps.tokens.list({ userId: id });
    },
    async deleteToken(by, id, token) {
      await requireOwn(by, id);
      await deps.tokens.delete({ userId: id }, token);
    },
    listHooks: ({ userId }, conversation) => listHooks(db, userId, conversation),
    async createHook({ userId }, conversation, name, origin) {
      const token = newLastingToken(random, HOOK_PREFIX);
      const made = await createHook(db, { userId, conversation, name, hash: tokenHash(token) });
      if (made === "no-conversation") throw noSuchConversation();
      if (made === "full") throw new Refused("full", "one has twenty incoming webhooks at most");
      return { made, url: `${settings.publicUrl ?? origin}/api/hooks/${token}` };
    },
    async deleteHook({ userId }, conversation, id) {
      if (!(await endHook(db, userId, { conversation, id }))) throw noSuchHook();
      revocations.add(id);
    },
    async post(token, { given, ...sending }) {
      const message = given.message ?? given.text;
      if (message === undefined) throw new Refused("validation_error", "body: give message, or text");
      const holder = HOOK.test(token) ? await useHook(db, tokenHash(token)) : null;
      if (holder === null) throw noSuchHook();
      const { conversation, ...identity } = holder;
      return deps.messages.sendTo(identity, conversation, { ...sending, given: { message } });
    },
  };
}
