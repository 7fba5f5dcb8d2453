import type { Message, MESSAGE_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Messages } from "../use-cases/messages.ts";

export function messageHandlers(messages: Messages): Handlers<typeof MESSAGE_ROUTES> {
  const describe = ({ id, conversation, content, version, createdAt }: Awaited<ReturnType<Messages["read"]>>): Message => ({
    message_id: id,
    conversation_id: conversation,
    ...content,
    version,
    created_at: createdAt,
  });

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
    readMessage: async ({ identity, params }) => describe(await messages.read(identity, params.id)),
    replaceMessage: async ({ identity, params, body }) => describe(await messages.edit(identity, params.id, body.message)),
    editMessage: async ({ identity, params, body }) => describe(await messages.edit(identity, params.id, body.message)),
    deleteMessage: ({ identity, params }) => messages.delete(identity, params.id),
    async listVersions({ identity, params }) {
      const versions = await messages.versions(identity, params.id);
      return {
        versions: versions.map(({ version, message, writtenAt }) => ({ version, message, written_at: writtenAt })),
      };
    },
  };
}
