import type { CONVERSATION_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Conversations } from "../use-cases/conversations.ts";

export function conversationHandlers(conversations: Conversations): Handlers<typeof CONVERSATION_ROUTES> {
  return {
    async listConversations({ identity, query: { limit, cursor } }) {
      const { items, nextCursor, seq } = await conversations.list(identity, { limit, cursor });
      return { conversations: [...items], next_cursor: nextCursor, seq };
    },
    readConversation: ({ identity, params }) => conversations.read(identity, params.id),
    async listMessages({ identity, params, query: { order = "newest", limit, cursor } }) {
      const { items, nextCursor, seq } = await conversations.history(identity, params.id, { order, limit, cursor });
      return { messages: [...items], next_cursor: nextCursor, seq };
    },
    async markRead({ identity, params, body }) {
      const { messageId, unread } = await conversations.markRead(identity, params.id, body.message_id);
      return { read_message_id: messageId, unread };
    },
  };
}
