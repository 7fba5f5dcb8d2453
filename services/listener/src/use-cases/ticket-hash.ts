import { createHash } from "node:crypto";

/** What is kept of a ticket. */
export function ticketHash(ticket: string): Uint8Array {
  return createHash("sha256").update(ticket).digest();
}
