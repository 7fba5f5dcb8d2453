import { createHash } from "node:crypto";
import { addressOf, SECRET_BYTES, type WrittenScheme } from "@messenger/channels";
import type { NewNotification, Notification } from "@messenger/contracts";
import { webhookSecretContext } from "@messenger/core";
import {
  createNotification,
  findNotification,
  findProvider,
  findRequest,
  findRole,
  listNotifications,
  type NotificationAttempt,
  type NotificationRow,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { sealJson, unsealJson } from "./contents.ts";
import { cursorOf, type PageRequest, placeOfId, readCursor } from "./pages.ts";
import { readRecipient } from "./recipients.ts";
import { requestKeyOf } from "./request-key.ts";

type NotificationType = Notification["type"];

export interface Sent extends Omit<NotificationRow, "recipient" | "at" | "type"> {
  type: NotificationType;
  recipient: string;
}

/** Notifications to outside addresses. All of it throws forbidden for those who may not send any. */
export interface Notifications {
  /** @throws {Refused} validation_error, no_such_channel, suppressed, idempotency_key_reused */
  create(by: Identity, given: NewNotification, idempotencyKey: string | undefined): Promise<Sent>;
  list(
    by: Identity,
    request: PageRequest & { type?: NotificationType; status?: NotificationRow["status"] },
  ): Promise<{ items: readonly Sent[]; nextCursor: string | null }>;
  /** @throws {Refused} no_such_notification */
  read(by: Identity, id: string): Promise<Sent & { attempts: readonly NotificationAttempt[] }>;
}

const SCHEMES: Readonly<Record<NotificationType, WrittenScheme>> = { email: "mailto:", sms: "sms:", whatsapp: "whatsapp:" };
/** Characters that a provider takes. */
const MOST: Readonly<Record<NotificationType, number>> = { email: 65_536, sms: 1_600, whatsapp: 4_096 };
const SCHEDULED_WITHIN_MS = 30 * 24 * 60 * 60 * 1000;
const PAGE = 50;

export function createNotifications(context: Context): Notifications {
  const { db, keyring, ids, random, clock, publisher, settings } = context;

  /** @throws {Refused} forbidden */
  async function requireNotifier(by: Identity): Promise<void> {
    if (settings.notify === "everyone") return;
    if ((await findRole(db, by.userId)) !== "admin") {
      throw new Refused("forbidden", "only administrators may send notifications here (NOTIFY)");
    }
  }

  /** @throws {Refused} validation_error */
  function sendAtOf(text: string | undefined): Date | null {
    if (text === undefined) return null;
    const at = Date.parse(text);
    const inMs = at - clock.now();
    if (Number.isNaN(at) || inMs > SCHEDULED_WITHIN_MS || inMs < -60_000) {
      throw new Refused("validation_error", "send_at must be a moment within the next thirty days, such as 2026-11-28T09:30:00Z");
    }
    return new Date(at);
  }

  const open = ({ recipient, ...row }: NotificationRow): Sent => ({
    ...row,
    type: row.type as NotificationType,
    recipient: (unsealJson(keyring, row.id, recipient) as { recipient: string }).recipient,
  });

  async function find(by: Identity, id: string): Promise<Sent & { attempts: readonly NotificationAttempt[] }> {
    const found = await findNotification(db, by.userId, id);
    if (found === null) throw new Refused("no_such_notification", "there is no such notification, or it is not yours");
    return { ...open(found.notification), attempts: found.attempts };
  }

  /** @throws {Refused} idempotency_key_reused */
  function again(by: Identity, { id, isSame }: { id: string; isSame: boolean }): Promise<Sent> {
    if (!isSame) throw new Refused("idempotency_key_reused", "this Idempotency-Key was used for another notification");
    return find(by, id);
  }

  return {
    async create(by, given, idempotencyKey) {
      await requireNotifier(by);
      const { type, content, subject, template } = given;
      const recipient = readRecipient(type, given.recipient, settings.phoneRegion);
      if ((content === undefined) === (template === undefined))
        throw new Refused("validation_error", "give content, or a template");
      if (template !== undefined && type !== "whatsapp") throw new Refused("validation_error", "template is for WhatsApp only");
      if ((content?.length ?? 0) > MOST[type])
        throw new Refused("validation_error", `content has at most ${MOST[type]} characters by ${type}`);
      if (subject !== undefined && type !== "email") throw new Refused("validation_error", "subject is for e-mail only");
      if (/[\r\n]/u.test(subject ?? "")) throw new Refused("validation_error", "subject must be a single line");
      const provider = await findProvider(db, SCHEMES[type]);
      if (provider === null) throw new Refused("no_such_channel", `nobody is set up to deliver by ${type} here`);
      const key = requestKeyOf(idempotencyKey, by.userId);
      const asked = JSON.stringify([
        type,
        recipient,
        content,
        subject,
        given.send_at,
        ...(template === undefined ? [] : [template]),
      ]);
      const request = key && { key, hash: createHash("sha256").update(asked).digest() };
      const before = await findRequest(db, request);
      if (before !== null) return again(by, before);
      const sendAt = sendAtOf(given.send_at);
      const id = ids.next();
      const address = addressOf(SCHEMES[type], recipient);
      const made = await createNotification(db, {
        id,
        userId: by.userId,
        type,
        purpose: "sent",
        address,
        recipient: sealJson(keyring, id, { recipient }),
        data: sealJson(keyring, id, {
          ...(template === undefined ? { content } : { template: { language: "en", variables: [], ...template } }),
          ...(subject !== undefined && { subject }),
        }),
        provider,
        sendAt,
        sealSecret: (inbox) => keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), random.bytes(SECRET_BYTES)),
        request,
      });
      if (made.status === "suppressed") {
        throw new Refused("suppressed", `nothing is sent to this address until ${made.until.toISOString()}: ${made.reason}`);
      }
      if (made.status === "repeat") return again(by, made);
      publisher.wake(made.changed);
      return {
        id,
        type,
        recipient,
        provider,
        status: "queued",
        reason: null,
        sendAt,
        reportedAt: null,
        createdAt: made.createdAt,
      };
    },
    async list(by, { type = null, status = null, cursor, limit = PAGE }) {
      await requireNotifier(by);
      const after = cursor === undefined ? null : readCursor(cursor, placeOfId);
      const { rows, next } = await listNotifications(db, by.userId, { type, status, after, limit });
      return { items: rows.map(open), nextCursor: next && cursorOf(next) };
    },
    async read(by, id) {
      await requireNotifier(by);
      return find(by, id);
    },
  };
}
