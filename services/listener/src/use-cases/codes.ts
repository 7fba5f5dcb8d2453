import { randomInt } from "node:crypto";
import { compose, type Language, SECRET_BYTES } from "@messenger/channels";
import { webhookSecretContext } from "@messenger/core";
import type { NewNotification } from "@messenger/store";
import type { Context } from "../context.ts";
import { sealJson } from "./contents.ts";

const CODE_DIGITS = 6;

/** A code that nobody guesses in the few tries that there are. */
export const newCode = (): string => String(randomInt(10 ** CODE_DIGITS)).padStart(CODE_DIGITS, "0");

/** Whom a code goes to. */
interface To {
  userId: number;
  type: string;
  /** As an endpoint has it. */
  address: string;
  recipient: string;
  language: string;
  provider: string;
}

/** A notification that says a code, and what it is for. */
export function codeNotification(
  { ids, keyring, random }: Context,
  { userId, type, address, recipient, language, provider }: To,
  { code, isFor }: { code: string; isFor: "code" | "reset" },
): NewNotification {
  const id = ids.next();
  const { subject, text, html, short } = compose(language as Language, isFor, { code });
  return {
    id,
    userId,
    type,
    purpose: isFor,
    address,
    recipient: sealJson(keyring, id, { recipient }),
    data: sealJson(keyring, id, type === "email" ? { subject, content: text, html } : { content: short }),
    provider,
    sendAt: null,
    sealSecret: (inbox) => keyring.webhookSecrets.seal(webhookSecretContext(inbox, address), random.bytes(SECRET_BYTES)),
    request: null,
  };
}
