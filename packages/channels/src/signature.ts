import { createHmac, type KeyObject, sign } from "node:crypto";

/** What a webhook secret starts with when it is shown, before its base64 form (Standard Webhooks). */
const SECRET_PREFIX = "whsec_";
/** Likewise the public key of signatures of version `v1a`. */
const PUBLIC_KEY_PREFIX = "whpk_";
export const SECRET_BYTES = 24;

/** The form in which a secret is shown, once. */
export function formatSecret(secret: Uint8Array): string {
  return SECRET_PREFIX + Buffer.from(secret).toString("base64");
}

/** The form in which the public key of an endpoint is shown: its 32 bytes (RFC 8032). */
export function formatPublicKey(key: KeyObject): string {
  const { x } = key.export({ format: "jwk" });
  return PUBLIC_KEY_PREFIX + Buffer.from(x as string, "base64url").toString("base64");
}

/**
 * The headers that sign a push by Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA-256 over id,
 * time stamp and body, once for each secret that is valid (`v1`), and by ed25519 where there is a key (`v1a`).
 * `timestamp` is in seconds.
 */
export function signatureHeaders(push: {
  id: string;
  timestamp: number;
  body: Uint8Array;
  secrets: readonly KeyObject[];
  signingKey?: KeyObject | undefined;
}): {
  "webhook-id": string;
  "webhook-timestamp": string;
  "webhook-signature": string;
} {
  const signed = `${push.id}.${push.timestamp}.`;
  const signatures = push.secrets.map((secret) => {
    const mac = createHmac("sha256", secret).update(signed).update(push.body).digest("base64");
    return `v1,${mac}`;
  });
  if (push.signingKey !== undefined) {
    const signature = sign(null, Buffer.concat([Buffer.from(signed), push.body]), push.signingKey);
    signatures.push(`v1a,${signature.toString("base64")}`);
  }
  return {
    "webhook-id": push.id,
    "webhook-timestamp": String(push.timestamp),
    "webhook-signature": signatures.join(" "),
  };
}
