/** A name that breaks the rules; the message says which. */
export class InvalidName extends Error {
  override readonly name = "InvalidName";
}

/** Folds what people regard as the same name to the same string: NFKC, lower case. Made here, not by the database, whose rules differ by locale. */
function fold(name: string): string {
  return name.normalize("NFKC").toLowerCase().normalize("NFKC");
}

/**
 * The form in which user names are compared. No `@`, no leading `+`, not digits only: so a user name never equals somebody's
 * e-mail or phone number, by all of which one can sign in.
 */
export function usernameKey(username: string): string {
  const key = fold(username).trim();
  if (key === "") throw new InvalidName("a user name must not be empty");
  if (key.includes("@")) throw new InvalidName("a user name must not contain @");
  if (key.startsWith("+")) throw new InvalidName("a user name must not start with +");
  if (/^\p{Nd}+$/u.test(key)) throw new InvalidName("a user name must not be digits only");
  return key;
}

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
