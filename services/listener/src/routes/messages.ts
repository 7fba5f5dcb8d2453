import type { MESSAGE_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Messages } from "../use-cases/messages.ts";

export function messageHandlers(messages: Messages): Handlers<typeof MESSAGE_ROUTES> {
  return {
    async sendMessage(request, reply) {
      const { id, seq, conversation, createdAt } = await messages.send(request.identity, {
        given: request.body,
        idempotencyKey: request.headers["idempotency-key"] as string | undefined,
        trace: request.trace,
      });
      request.messageId = id;
      reply.header("location", `/api/messages/${id}/`);
      return { message_id: id, seq, conversation_id: conversation, status: "accepted", created_at: createdAt };
    },
    async readMessage(request) {
      const { id, conversation, createdAt, content } = await messages.read(request.identity, request.params.id);
      return { message_id: id, conversation_id: conversation, ...content, created_at: createdAt };
    },
  };
}
