import type { MESSAGE_ROUTES } from "@messenger/contracts";
import { type Handlers, idempotencyKeyOf } from "../http/route.ts";
import type { Messages } from "../use-cases/messages.ts";

export function messageHandlers(messages: Messages): Handlers<typeof MESSAGE_ROUTES> {
  return {
    async sendMessage(request, reply) {
      const { id, seq, conversation, createdAt } = await messages.send(request.identity, {
        given: request.body,
        ip: request.ip,
        idempotencyKey: idempotencyKeyOf(request),
        trace: request.trace,
      });
      request.messageId = id;
      reply.header("location", `/api/messages/${id}/`);
      return { message_id: id, seq, conversation_id: conversation, status: "accepted", created_at: createdAt };
    },
    async listOwnMessages({ identity, query }) {
      const { items, nextCursor, seq } = await messages.list(identity, query);
      return { messages: [...items], next_cursor: nextCursor, seq };
    },
    readMessage: ({ identity, params }) => messages.read(identity, params.id),
    replaceMessage: ({ identity, params, body }) => messages.edit(identity, params.id, body.message),
    editMessage: ({ identity, params, body }) => messages.edit(identity, params.id, body.message),
    deleteMessage: ({ identity, params }) => messages.delete(identity, params.id),
    async listVersions({ identity, params }) {
      const versions = await messages.versions(identity, params.id);
      return {
        versions: versions.map(({ version, message, writtenAt }) => ({ version, message, written_at: writtenAt })),
      };
    },
    async listDeliveries({ identity, params }) {
      const rows = await messages.deliveries(identity, params.id);
      return {
        deliveries: rows.map(({ userId, state, retryAt, read }) => ({
          user_id: userId,
          state,
          retry_at: retryAt?.toISOString() ?? null,
          read,
        })),
      };
    },
    addReaction: ({ identity, params }) => messages.react(identity, params.id, params.emoji, true),
    removeReaction: ({ identity, params }) => messages.react(identity, params.id, params.emoji, false),
  };
}
