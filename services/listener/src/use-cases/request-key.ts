import { createHash } from "node:crypto";
import { Refused } from "../refused.ts";

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/u;

/**
 * SHA-256 of the user and the `Idempotency-Key`, so that one user's keys are nobody else's; null where there
 * is none. @throws {Refused} validation_error
 */
export function requestKeyOf(key: string | undefined, userId: number): Uint8Array | null {
  if (key === undefined) return null;
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw new Refused("validation_error", "Idempotency-Key must be 1 to 255 visible ASCII characters");
  }
  return createHash("sha256").update(`${userId}\n${key}`).digest();
}
