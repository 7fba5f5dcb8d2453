import type { DOOR_ROUTES, DoorMessage, Message } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import { Refused } from "../refused.ts";
import type { Messages } from "../use-cases/messages.ts";

type MessageDoor = Pick<
  typeof DOOR_ROUTES,
  "doorSendMessage" | "doorListMessages" | "doorReadMessage" | "doorReplaceMessage" | "doorEditMessage" | "doorDeleteMessage"
>;

const LISTED = 1_000;
/** No further page is read beyond so much text: all of it is one answer. */
const LISTED_BYTES = 1024 * 1024;
const PAGE = 20;

const describe = ({ message_id, sender_id, receiver_id, message, created_at }: Message): DoorMessage => ({
  id: message_id,
  sender_id,
  recipient_id: receiver_id ?? null,
  content: message,
  timestamp: created_at,
});

/** The *messages* contract, over what the API itself does. */
export function messageDoor(messages: Messages): Handlers<MessageDoor> {
  return {
    async doorSendMessage(request) {
      const { identity, body, trace } = request;
      const given = {
        message: body.content,
        sender_id: identity.userId,
        sender_username: identity.name,
        receiver_id: Number(body.recipient_id),
        send_date: new Date().toISOString(),
      };
      request.messageId = (await messages.send(identity, { given, ip: request.ip, idempotencyKey: undefined, trace })).id;
      return { message: "Message sent successfully" };
    },
    async doorListMessages({ identity }) {
      const found: Message[] = [];
      let bytes = 0;
      for (let cursor: string | undefined; found.length < LISTED && bytes < LISTED_BYTES;) {
        const page = await messages.list(identity, { limit: PAGE, cursor });
        found.push(...page.items);
        bytes += page.items.reduce((sum, { message }) => sum + Buffer.byteLength(message), 0);
        if (page.nextCursor === null) break;
        cursor = page.nextCursor;
      }
      if (found.length === 0) throw new Refused("no_such_message", "No messages found");
      return found.toReversed().map(describe);
    },
    doorReadMessage: async ({ identity, params }) => describe(await messages.read(identity, params.id)),
    doorReplaceMessage: async ({ identity, params, body }) => describe(await messages.edit(identity, params.id, body.content)),
    doorEditMessage: async ({ identity, params, body }) => describe(await messages.edit(identity, params.id, body.content)),
    async doorDeleteMessage({ identity, params }) {
      await messages.read(identity, params.id); // one that is deleted is not there any more
      await messages.delete(identity, params.id);
      return { message: "Message deleted successfully" };
    },
  };
}
