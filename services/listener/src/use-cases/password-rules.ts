import { dictionary } from "@zxcvbn-ts/language-common";
import { normalPassword } from "@messenger/runtime";
import type { ApiSettings } from "../context.ts";
import { Refused } from "../refused.ts";

/** Of leaked passwords, the commonest first (OWASP ASVS 2.1.7 asks for the first 3,000 that are long enough). */
const COMMONEST = 10_000;

const commonest = new Set(dictionary["passwords-common"].slice(0, COMMONEST));

/**
 * Refuses a new password that is short, one of the commonest, or a name of the user.
 *
 * @throws {Refused} validation_error
 */
export function checkPassword(
  password: string,
  names: readonly (string | null | undefined)[],
  { passwordMinLength, commonPasswords }: Pick<ApiSettings, "passwordMinLength" | "commonPasswords">,
): void {
  const normal = normalPassword(password);
  // Before it is normal, too: one character may become many.
  if (Math.min(Array.from(password).length, Array.from(normal).length) < passwordMinLength) {
    throw new Refused("validation_error", `a password has at least ${passwordMinLength} characters`);
  }
  const lower = normal.toLowerCase();
  if (commonPasswords === "refused" && commonest.has(lower)) {
    throw new Refused("validation_error", "this password is one of those that are guessed first: choose another one");
  }
  if (names.some((name) => name != null && normalPassword(name).toLowerCase() === lower)) {
    throw new Refused("validation_error", "a password is not one's own name");
  }
}
