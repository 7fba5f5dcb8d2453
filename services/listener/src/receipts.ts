import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import type { Clock } from "@messenger/core";
import { exportJWK, type JWK, SignJWT } from "jose";

/** Where the key is kept that signs receipts. */
export const RECEIPT_KEY = "receipt_key";

/** An ed25519 key (PKCS #8, DER). */
export const newReceiptKey = (): Uint8Array => generateKeyPairSync("ed25519").privateKey.export({ format: "der", type: "pkcs8" });

/** Says, so that others can check it, what was done. */
export interface Receipts {
  /** Verifies them (RFC 8037). */
  readonly publicKey: JWK;
  /** A JWT (RFC 7519) of what was done, about a user. */
  sign(userId: number, done: Readonly<Record<string, unknown>>): Promise<string>;
}

export async function createReceipts(key: Uint8Array, clock: Clock): Promise<Receipts> {
  const privateKey = createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" });
  const publicKey = await exportJWK(createPublicKey(privateKey));
  return {
    publicKey: { ...publicKey, alg: "EdDSA", use: "sig" },
    sign: (userId, done) =>
      new SignJWT(done)
        .setProtectedHeader({ alg: "EdDSA", typ: "JWT" })
        .setIssuer("messenger")
        .setSubject(String(userId))
        .setIssuedAt(Math.floor(clock.now() / 1000))
        .sign(privateKey),
  };
}
