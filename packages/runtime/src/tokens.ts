import { createHash } from "node:crypto";
import type { Random } from "@messenger/core";

const TOKEN_BYTES = 16;

/** A token that nobody guesses, of 22 characters that can stand in a URL. */
export function newToken(random: Random): string {
  return Buffer.from(random.bytes(TOKEN_BYTES)).toString("base64url");
}

const LASTING_TOKEN_BYTES = 32;

/** A token that is used for long, of 43 characters after those that say what it is for. */
export function newLastingToken(random: Random, prefix: string): string {
  return prefix + Buffer.from(random.bytes(LASTING_TOKEN_BYTES)).toString("base64url");
}

/** SHA-256: what is kept of a token, to find it by. */
export function tokenHash(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

/** What lets somebody make an account where only those who are invited may. */
export const newInvitation = (random: Random): string => newLastingToken(random, "mi_");
