import { createHash } from "node:crypto";
import type { Random } from "@messenger/core";

const PREFIX = "mi_";
const BYTES = 32;

/** SHA-256: what is kept of an invitation, to find it by. */
export function hashOfInvitation(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

/** An invitation that nobody guesses, as it is handed on, and what is kept of it. */
export function newInvitation(random: Random): { text: string; hash: Uint8Array } {
  const text = PREFIX + Buffer.from(random.bytes(BYTES)).toString("base64url");
  return { text, hash: hashOfInvitation(text) };
}
