import type { DOOR_ROUTES } from "@messenger/contracts";
import type { Handlers } from "../http/route.ts";
import type { Notifications } from "../use-cases/notifications.ts";

/** The *sendMessage* contract, over what the API itself does. */
export function sendMessageDoor(notifications: Notifications): Handlers<Pick<typeof DOOR_ROUTES, "doorNotify">> {
  return {
    async doorNotify({ identity, body }) {
      const { type, recipient, content } = body;
      const { id, status, provider } = await notifications.create(identity, { type, recipient, content }, undefined);
      return { message: "Message sent successfully", id, type, status, provider };
    },
  };
}
