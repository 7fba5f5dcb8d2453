/** A name that breaks the rules; the message says which. */
export class InvalidName extends Error {
  override readonly name = "InvalidName";
}

/**
 * Folds what people regard as the same name to the same string: NFKC, lower case. Made here, not by the
 * database, whose rules differ by locale.
 */
function fold(name: string): string {
  return name.normalize("NFKC").toLowerCase().normalize("NFKC");
}

/**
 * The form in which user names are compared. No `@`, no leading `+`, not digits only. (That a user name is
 * nobody else's e-mail address or phone number, by all of which one can sign in, the database sees to.)
 */
export function usernameKey(username: string): string {
  const key = fold(username).trim();
  if (key === "") throw new InvalidName("a user name must not be empty");
  if (key.includes("@")) throw new InvalidName("a user name must not contain @");
  if (key.startsWith("+")) throw new InvalidName("a user name must not start with +");
  if (/^\p{Nd}+$/u.test(key)) throw new InvalidName("a user name must not be digits only");
  return key;
}

/** Names that people take for the operator's, or that mean nobody. */
const RESERVED: ReadonlySet<string> = new Set(
  (
    "abuse admin administrator all anonymous api bot daemon everyone helpdesk here hostmaster info mailer-daemon me messenger moderator nobody " +
    "no-reply noreply null official operator owner postmaster root security service staff superuser support sysadmin system undefined webmaster"
  ).split(" "),
);

/**
 * What nobody sees: control and format characters, those without a meaning, blank letters of Hangul, and
 * white space but the plain one.
 */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u115f\u1160\u3164\uffa0\u2800]|(?! )\p{Zs}/u;

/** The scripts of a name's letters; those that are written together (UTS 39, 5.1) count as one. */
const SCRIPTS: readonly RegExp[] = [
  /\p{Script=Latin}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Georgian}/u,
  /\p{Script=Hebrew}/u,
  /\p{Script=Arabic}/u,
  /\p{Script=Devanagari}/u,
  /\p{Script=Bengali}/u,
  /\p{Script=Tamil}/u,
  /\p{Script=Telugu}/u,
  /\p{Script=Thai}/u,
  /\p{Script=Cherokee}/u,
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}]/u,
];

/**
 * Checks the user name of somebody who registers, after PRECIS (RFC 8265, UsernameCaseMapped) and UTS 39:
 * nothing that cannot be seen, letters of one script, no name that is taken for the operator's. Accounts that
 * are there already keep the names they have.
 * @throws {InvalidName}
 */
export function checkUsername(username: string): void {
  const name = username.normalize("NFKC").trim();
  if (INVISIBLE.test(username) || INVISIBLE.test(name)) {
    throw new InvalidName("a user name must not hold characters that cannot be seen");
  }
  if (!/[\p{L}\p{N}]/u.test(name)) throw new InvalidName("a user name must hold a letter or a digit");
  if (SCRIPTS.filter((script) => script.test(name)).length > 1) {
    throw new InvalidName("the letters of a user name must be of one script, so that it cannot be taken for another");
  }
  if (RESERVED.has(usernameKey(username)) || usernameKey(username) === DELETED_NAME)
    throw new InvalidName(
      "this user name is reserved, as admin, root, support and others are, which people would take for the operator: take another",
    );
}

/** Who wrote a message whose sender's account was deleted. Nobody else has this name. */
export const DELETED_NAME = "deleted account";

/** The form in which e-mail addresses are compared. */
export function emailKey(email: string): string {
  const key = fold(email).trim();
  if (!/^[^\s@]+@[^\s@]+$/u.test(key)) throw new InvalidName("an e-mail address has one @ with something on both sides");
  return key;
}

/** The form in which phone numbers are compared: any characters, without white space around. */
export function phoneKey(phone: string): string {
  const key = phone.normalize("NFKC").trim();
  if (key === "") throw new InvalidName("a phone number must not be empty");
  return key;
}

/** The form in which a name is compared; null where nobody can have it. */
export function keyOr(read: (name: string) => string, name: string): string | null {
  try {
    return read(name);
  } catch (error) {
    if (error instanceof InvalidName) return null;
    throw error;
  }
}

/** The forms in which what somebody typed as their name may be known. */
export interface LoginKeys {
  usernameKey: string | null;
  emailKey: string | null;
  phoneKey: string | null;
}

/** What somebody typed as their name, in all forms that it may be known in. */
export function loginKeys(name: string): LoginKeys {
  return { usernameKey: keyOr(usernameKey, name), emailKey: keyOr(emailKey, name), phoneKey: keyOr(phoneKey, name) };
}
