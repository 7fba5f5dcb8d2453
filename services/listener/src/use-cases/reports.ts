import { createHmac, timingSafeEqual } from "node:crypto";
import { FINAL_STATUSES } from "@messenger/channels";
import { reportNotification } from "@messenger/store";
import type { Context } from "../context.ts";
import { Refused } from "../refused.ts";

/** What providers tell of messages that they took. All of it throws forged. */
export interface Reports {
  /** `url` is the path and query that were called; `form` all fields of the body. */
  twilio(signature: unknown, url: string, form: Readonly<Record<string, unknown>>, notification: string): Promise<void>;
  meta(signature: unknown, raw: Uint8Array, body: unknown): Promise<void>;
  /** The challenge of a callback that is being set up. */
  confirmMeta(token: string, challenge: string): string;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;
/** Of a callback; Meta sends up to 1,000 changes at once. */
const MAX_STATUSES = 1_000;

function isSame(one: string, other: unknown): boolean {
  if (typeof other !== "string") return false;
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A list in what a provider sent, which may be anything. */
const listIn = (value: unknown, key: string): readonly unknown[] => {
  const list = (value as Record<string, unknown> | null | undefined)?.[key];
  return Array.isArray(list) ? list : [];
};

interface MetaStatus {
  status?: unknown;
  biz_opaque_callback_data?: unknown;
  errors?: readonly { code?: unknown }[];
}

export function createReports({ db, settings, log }: Context): Reports {
  function refuse(provider: string): never {
    log.warn({ provider }, "a callback was forged, or its secret is not the provider's: nothing was changed");
    throw new Refused("forged", "the signature is not that of the provider");
  }

  async function report(notification: unknown, status: unknown, code: string | null): Promise<void> {
    const final = typeof status === "string" ? FINAL_STATUSES.get(status) : undefined;
    if (final === undefined || typeof notification !== "string" || !UUID.test(notification)) return;
    await reportNotification(db, notification, final, code);
  }

  return {
    async twilio(signature, url, form, notification) {
      const { twilioAuthToken: key, publicUrl } = settings;
      if (key === undefined || publicUrl === undefined) refuse("twilio");
      // The address that Twilio was given, and then all fields by their names (Twilio, *Webhooks security*).
      const signed = Object.keys(form)
        .toSorted()
        .reduce((text, name) => text + name + String(form[name]), publicUrl + url);
      if (!isSame(createHmac("sha1", key).update(signed).digest("base64"), signature)) refuse("twilio");
      const code = form["ErrorCode"];
      await report(notification, form["MessageStatus"], typeof code === "string" && code !== "0" ? `Twilio ${code}` : null);
    },
    async meta(signature, raw, body) {
      const { metaAppSecret: key } = settings;
      if (key === undefined) refuse("meta");
      if (!isSame(`sha256=${createHmac("sha256", key).update(raw).digest("hex")}`, signature)) refuse("meta");
      const statuses = listIn(body, "entry")
        .flatMap((entry) => listIn(entry, "changes"))
        .flatMap((change) => listIn((change as { value?: unknown } | null)?.value, "statuses"));
      for (const status of statuses.slice(0, MAX_STATUSES) as (MetaStatus | null)[]) {
        const code = status?.errors?.[0]?.code;
        await report(status?.biz_opaque_callback_data, status?.status, typeof code === "number" ? `Meta ${code}` : null);
      }
    },
    confirmMeta(token, challenge) {
      if (settings.metaVerifyToken === undefined || !isSame(settings.metaVerifyToken, token)) refuse("meta");
      return challenge;
    },
  };
}
