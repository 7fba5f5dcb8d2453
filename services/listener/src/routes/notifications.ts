import type { Notification, NOTIFICATION_ROUTES } from "@messenger/contracts";
import { type Handlers, idempotencyKeyOf } from "../http/route.ts";
import type { Notifications, Sent } from "../use-cases/notifications.ts";

const describe = ({ id, type, recipient, status, reason, provider, sendAt, createdAt }: Sent): Notification => ({
  notification_id: id,
  type,
  recipient,
  status,
  reason,
  provider,
  send_at: sendAt?.toISOString() ?? null,
  created_at: createdAt.toISOString(),
});

export function notificationHandlers(notifications: Notifications): Handlers<typeof NOTIFICATION_ROUTES> {
  return {
    async createNotification(request, reply) {
      const sent = await notifications.create(request.identity, request.body, idempotencyKeyOf(request));
      reply.header("location", `/api/notifications/${sent.id}/`);
      return describe(sent);
    },
    async listNotifications({ identity, query }) {
      const { items, nextCursor } = await notifications.list(identity, query);
      return { notifications: items.map(describe), next_cursor: nextCursor };
    },
    async readNotification({ identity, params }) {
      const found = await notifications.read(identity, params.id);
      return {
        ...describe(found),
        attempts: found.attempts.map(({ at, ...attempt }) => ({ at: at.toISOString(), ...attempt })),
      };
    },
  };
}
