import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { Clock } from "@messenger/core";
import { SignJWT } from "jose";
import { LRUCache } from "lru-cache";

/** RFC 8292, 2: no more than a day. */
const LASTS_S = 12 * 60 * 60;
const RENEWED_AFTER_MS = 60 * 60 * 1000;
const MAX_ORIGINS = 1_000;

/** Says who sends a push (RFC 8292), to each push service. */
export interface Vapid {
  /** The value of `Authorization` for the push service at an origin. */
  authorization(origin: string): Promise<string>;
}

/** What the deployment keeps its key under. */
export const VAPID_KEY = "vapid_key";

/** A key of P-256 (PKCS #8, DER): made once, as every subscription is bound to it. */
export function newVapidKey(): Uint8Array {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "der", type: "pkcs8" });
}

/** The public key of {@link newVapidKey}, as browsers take it: an uncompressed point, in base64url. */
export function vapidPublicKey(key: Uint8Array): string {
  return pointOf(createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" }));
}

function pointOf(key: KeyObject): string {
  const { x = "", y = "" } = createPublicKey(key).export({ format: "jwk" });
  return Buffer.concat([Uint8Array.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]).toString("base64url");
}

export function createVapid(options: {
  key: Uint8Array;
  /** Whom a push service may write to: `mailto:` or `https:`. Some demand one. */
  contact: string | undefined;
  clock: Clock;
}): Vapid {
  const { contact, clock } = options;
  const key = createPrivateKey({ key: Buffer.from(options.key), format: "der", type: "pkcs8" });
  const publicKey = pointOf(key);
  const signed = new LRUCache<string, { at: number; value: Promise<string> }>({ max: MAX_ORIGINS });

  async function sign(origin: string): Promise<string> {
    const claims = { aud: origin, exp: Math.floor(clock.now() / 1000) + LASTS_S, ...(contact !== undefined && { sub: contact }) };
    const token = await new SignJWT(claims).setProtectedHeader({ typ: "JWT", alg: "ES256" }).sign(key);
    return `vapid t=${token}, k=${publicKey}`;
  }

  return {
    authorization(origin) {
      const known = signed.get(origin);
      if (known !== undefined && clock.now() - known.at < RENEWED_AFTER_MS && clock.now() >= known.at) return known.value;
      const value = sign(origin);
      signed.set(origin, { at: clock.now(), value });
      return value;
    },
  };
}
