import { createHmac, type KeyObject } from "node:crypto";

/** What a webhook secret starts with when it is shown, before its base64 form (Standard Webhooks). */
const SECRET_PREFIX = "whsec_";
export const SECRET_BYTES = 24;

/** The form in which a secret is shown, once. */
export function formatSecret(secret: Uint8Array): string {
  return SECRET_PREFIX + Buffer.from(secret).toString("base64");
}

/**
 * The headers that sign a push by Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA-256 over id,
 * time stamp and body, once for each secret that is valid. `timestamp` is in seconds.
 */
export function signatureHeaders(push: { id: string; timestamp: number; body: Uint8Array; secrets: readonly KeyObject[] }): {
  "webhook-id": string;
  "webhook-timestamp": string;
  "webhook-signature": string;
} {
  const signatures = push.secrets.map((secret) => {
    const mac = createHmac("sha256", secret).update(`${push.id}.${push.timestamp}.`).update(push.body).digest("base64");
    return `v1,${mac}`;
  });
  return {
    "webhook-id": push.id,
    "webhook-timestamp": String(push.timestamp),
    "webhook-signature": signatures.join(" "),
  };
}
