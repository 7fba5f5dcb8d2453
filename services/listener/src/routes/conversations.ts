import type { CONVERSATION_ROUTES } from "@messenger/contracts";
import { type Handlers, idempotencyKeyOf } from "../http/route.ts";
import type { Conversations } from "../use-cases/conversations.ts";
import type { Groups } from "../use-cases/groups.ts";
import type { Messages } from "../use-cases/messages.ts";
import type { Signals } from "../use-cases/signals.ts";

export function conversationHandlers(
  conversations: Conversations,
  groups: Groups,
  messages: Messages,
  signals: Signals,
): Handlers<typeof CONVERSATION_ROUTES> {
  return {
    async listConversations({ identity, query }) {
      const { items, nextCursor, seq } = await conversations.list(identity, query);
      return { conversations: [...items], next_cursor: nextCursor, seq };
    },
    openConversation: (request) => conversations.open(request.identity, request.body, idempotencyKeyOf(request)),
    readConversation: ({ identity, params }) => conversations.read(identity, params.id),
    async changeConversation({ identity, params, body }) {
      await groups.rename(identity, params.id, body.title);
      return conversations.read(identity, params.id);
    },
    acceptRequest: ({ identity, params }) => conversations.accept(identity, params.id),
    declineRequest: ({ identity, params }) => conversations.decline(identity, params.id),
    keepMessages: ({ identity, params, body }) => conversations.keep(identity, params.id, body.keep_days),
    changePreferences: ({ identity, params, body }) => conversations.prefer(identity, params.id, body),
    async sendToConversation(request, reply) {
      const message = await messages.sendTo(request.identity, request.params.id, {
        given: request.body,
        ip: request.ip,
        idempotencyKey: idempotencyKeyOf(request),
        trace: request.trace,
      });
      request.messageId = message.message_id;
      reply.header("location", `/api/messages/${message.message_id}/`);
      return message;
    },
    async listMessages({ identity, params, query: { order = "newest", limit, cursor } }) {
      const { items, nextCursor, seq } = await conversations.history(identity, params.id, { order, limit, cursor });
      return { messages: [...items], next_cursor: nextCursor, seq };
    },
    tellTyping: ({ identity, params }) => signals.type(identity, params.id),
    async markRead({ identity, params, body }) {
      const { messageId, unread } = await conversations.markRead(identity, params.id, body.message_id);
      return { read_message_id: messageId, unread };
    },
  };
}
