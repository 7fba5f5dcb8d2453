import { emailKey, InvalidName, phoneKey, usernameKey } from "@messenger/core";
import type { LoginKeys } from "@messenger/store";

/** The form in which a name is compared; null where nobody can have it. */
export function keyOr(read: (name: string) => string, name: string): string | null {
  try {
    return read(name);
  } catch (error) {
    if (error instanceof InvalidName) return null;
    throw error;
  }
}

/** What somebody typed as their name, in all forms that it may be known in. */
export function loginKeys(name: string): LoginKeys {
  return { usernameKey: keyOr(usernameKey, name), emailKey: keyOr(emailKey, name), phoneKey: keyOr(phoneKey, name) };
}
