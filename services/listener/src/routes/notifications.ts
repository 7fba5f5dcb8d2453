import type { Notification, NOTIFICATION_ROUTES } from "@messenger/contracts";
import { type Handlers, idempotencyKeyOf } from "../http/route.ts";
import type { Reports } from "../use-cases/reports.ts";
import type { Notifications, Sent } from "../use-cases/notifications.ts";

const describe = ({ id, type, recipient, status, reason, provider, sendAt, reportedAt, createdAt }: Sent): Notification => ({
  notification_id: id,
  type,
  recipient,
  status,
  reason,
  provider,
  send_at: sendAt?.toISOString() ?? null,
  reported_at: reportedAt?.toISOString() ?? null,
  created_at: createdAt.toISOString(),
});

export function notificationHandlers(notifications: Notifications, reports: Reports): Handlers<typeof NOTIFICATION_ROUTES> {
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
    reportTwilioStatus: ({ headers, url, body, query }) =>
      reports.twilio(headers["x-twilio-signature"], url, { ...body }, query.notification),
    reportMetaStatus: ({ headers, rawBody, body }) =>
      reports.meta(headers["x-hub-signature-256"], rawBody ?? Buffer.alloc(0), body),
    async confirmMetaCallback({ query }, reply) {
      const challenge = reports.confirmMeta(query["hub.verify_token"], query["hub.challenge"]);
      reply.type("text/plain; charset=utf-8").serializer((text: string) => text);
      return challenge;
    },
  };
}
