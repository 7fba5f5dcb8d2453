import type { Bot, BOT_ROUTES, Hook } from "@messenger/contracts";
import type { BotRow, HookRow } from "@messenger/store";
import { type Handlers, idempotencyKeyOf } from "../http/route.ts";
import type { Bots } from "../use-cases/bots.ts";
import { describeToken } from "./tokens.ts";

export function botHandlers(bots: Bots): Handlers<typeof BOT_ROUTES> {
  const describe = ({ id, username, fullName, createdAt }: BotRow): Bot => ({
    user_id: id,
    username,
    full_name: fullName,
    created_at: createdAt.toISOString(),
  });
  const describeHook = ({ id, name, userId, createdAt, lastUsedAt }: HookRow): Hook => ({
    hook_id: id,
    name,
    by_user_id: userId,
    created_at: createdAt.toISOString(),
    last_used_at: lastUsedAt?.toISOString() ?? null,
  });

  return {
    listBots: async ({ identity }) => ({ bots: (await bots.list(identity)).map(describe) }),
    createBot: async ({ identity, body }) => describe(await bots.create(identity, body)),
    deleteBot: ({ identity, params }) => bots.delete(identity, params.id),
    async createBotToken({ identity, params, body, ip }) {
      const { made, token } = await bots.createToken(identity, params.id, body, ip);
      return { ...describeToken(made), token };
    },
    listBotTokens: async ({ identity, params }) => ({
      tokens: (await bots.listTokens(identity, params.id)).map(describeToken),
    }),
    deleteBotToken: ({ identity, params }) => bots.deleteToken(identity, params.id, params.token_id),
    listHooks: async ({ identity, params }) => ({ hooks: (await bots.listHooks(identity, params.id)).map(describeHook) }),
    async createHook({ identity, params, body, protocol, host }) {
      const { made, url } = await bots.createHook(identity, params.id, body.name, `${protocol}://${host}`);
      return { ...describeHook(made), url };
    },
    deleteHook: ({ identity, params }) => bots.deleteHook(identity, params.id, params.hook_id),
    async postToHook(request) {
      const message = await bots.post(request.params.token, {
        given: request.body,
        ip: request.ip,
        idempotencyKey: idempotencyKeyOf(request),
        trace: request.trace,
      });
      request.messageId = message.message_id;
      request.signedInAs = message.sender_id;
      return message;
    },
  };
}
