import { hash, verify } from "@node-rs/argon2";

/** `Algorithm.Argon2id`, which the package exports as a const enum only. */
const ARGON2ID = 2;
/** OWASP's second recommendation: 19 MiB, two passes, one lane. */
const ARGON2 = { algorithm: ARGON2ID, memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };

/** As it is hashed and compared: é in its two forms is one password (NIST SP 800-63B, 3.1.1.2). */
export const normalPassword = (password: string): string => password.normalize("NFKC");

/** Hashes a password by argon2id, in its PHC string form. It takes some 20 ms of a core, and 19 MiB. */
export const hashPassword = (password: string): Promise<string> => hash(normalPassword(password), ARGON2);

/** Whether a password has this hash; `as` it was given, or `normal`. */
export function verifyPassword(passwordHash: string, password: string, as: "normal" | "given"): Promise<boolean> {
  return verify(passwordHash, as === "normal" ? normalPassword(password) : password);
}
