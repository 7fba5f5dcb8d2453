import { createCipheriv, createDecipheriv, createHash, createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import type { Random } from "./clock.ts";

/** Bytes that cannot be unsealed: tampered with, or sealed under a secret that is not known here. */
export class SealError extends Error {
  override readonly name = "SealError";
}

export interface Sealer {
  /** Seals `plain`; `context` names what it is (a message id, an endpoint) and must be given again to unseal. */
  seal(context: string, plain: Uint8Array): Uint8Array;
  /** @throws {SealError} */
  unseal(context: string, sealed: Uint8Array): Buffer;
  /** Whether it was sealed under the secret that is the current one. */
  isCurrent(sealed: Uint8Array): boolean;
  /** What all that is sealed under that begins with: for whoever asks a database. */
  readonly mark: Uint8Array;
}

export interface Keyring {
  /** Signs and verifies access tokens; the first is current. 32 bytes each. */
  tokenKeys: readonly Uint8Array[];
  contents: Sealer;
  /** For what travels through a broker. */
  bundles: Sealer;
  /** For secrets that belong to endpoints. */
  webhookSecrets: Sealer;
  /**
   * Names the current secret, and each known one, without telling it. A store keeps the current one's, so
   * that processes whose secrets differ notice.
   */
  checks: { current: string; known: readonly string[] };
}

const VERSION = 2;
const KEY_ID_BYTES = 4;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SALT_AT = 1 + KEY_ID_BYTES;
const NONCE_AT = SALT_AT + SALT_BYTES;
const BODY_AT = NONCE_AT + NONCE_BYTES;

/** So many are sealed under one derived key: far from where random nonces could meet (NIST SP 800-38D, 8.3: 2^32). */
const SEALS_PER_KEY = 2 ** 24;
/** Derived keys that are remembered for unsealing: one for each process that sealed lately. */
const MAX_REMEMBERED = 1_000;

function derive(secret: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "", `messenger/${purpose}`, 32));
}

/** One of a deployment's secrets, as it is used for one purpose. */
interface SealingKey {
  id: Uint8Array;
  /** The key that a salt stands for: HKDF-Expand (RFC 5869) to a single block. */
  under(salt: Uint8Array): KeyObject;
}

/**
 * Keys are key objects, here and where they are used: Node takes bytes for a key, too, but first asks what
 * they are, which costs more than all the rest (HMAC 10.5 µs against 1.9, a cipher 13.9 µs against 4.5).
 */
function createSealingKey(secret: string, purpose: string): SealingKey {
  const bytes = derive(secret, purpose);
  const key = createSecretKey(bytes);
  const remembered = new Map<string, KeyObject>();
  return {
    id: createHash("sha256").update(bytes).digest().subarray(0, KEY_ID_BYTES),
    under(salt) {
      const name = Buffer.from(salt.buffer, salt.byteOffset, salt.byteLength).toString("latin1");
      const known = remembered.get(name);
      if (known !== undefined) return known;
      const made = createSecretKey(createHmac("sha256", key).update(salt).update("\x01").digest());
      if (remembered.size >= MAX_REMEMBERED) remembered.clear();
      remembered.set(name, made);
      return made;
    },
  };
}

/**
 * AES-256-GCM; the context is the additional data. Layout: version (1), key id (4), salt (16), nonce (12),
 * ciphertext, tag (16). The key is derived from the salt, which a sealer draws once for many: one of its own
 * for each message would cost as much as the sealing (8.3 µs against 4.7), on both ends.
 */
function createSealer(secrets: readonly string[], purpose: string, random: Random): Sealer {
  const keys = secrets.map((secret) => createSealingKey(secret, purpose));
  const current = keys[0];
  if (current === undefined) throw new Error("a sealer needs a secret");
  const mark = Buffer.concat([Uint8Array.of(VERSION), current.id]);
  let salt: Uint8Array = new Uint8Array(0);
  let left = 0;

  return {
    mark,
    seal(context, plain) {
      if (left === 0) {
        salt = random.bytes(SALT_BYTES);
        left = SEALS_PER_KEY;
      }
      left -= 1;
      const nonce = random.bytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", current.under(salt), nonce);
      cipher.setAAD(Buffer.from(context));
      const body = cipher.update(plain);
      cipher.final();
      return Buffer.concat([mark, salt, nonce, body, cipher.getAuthTag()]);
    },
    unseal(context, sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      if (bytes.length < BODY_AT + TAG_BYTES || bytes[0] !== VERSION) throw new SealError("not sealed bytes");
      const id = bytes.subarray(1, SALT_AT);
      const key = keys.find((candidate) => id.equals(candidate.id));
      if (key === undefined) throw new SealError("sealed under a secret that is not known here");
      const decipher = createDecipheriv(
        "aes-256-gcm",
        key.under(bytes.subarray(SALT_AT, NONCE_AT)),
        bytes.subarray(NONCE_AT, BODY_AT),
      );
      decipher.setAAD(Buffer.from(context));
      decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
      const plain = decipher.update(bytes.subarray(BODY_AT, bytes.length - TAG_BYTES));
      try {
        decipher.final();
      } catch (error) {
        throw new SealError("sealed bytes were changed, or belong to something else", { cause: error });
      }
      return plain;
    },
    isCurrent: (sealed) => mark.equals(sealed.subarray(0, mark.length)),
  };
}

/**
 * All keys of a deployment, derived by HKDF-SHA-256 from its secret. `previous` secrets unseal and verify,
 * but seal and sign nothing: so a secret can be changed without signing anyone out.
 */
export function createKeyring(options: { secret: string; previous?: readonly string[]; random: Random }): Keyring {
  const secrets = [options.secret, ...(options.previous ?? [])];
  const known = secrets.map((secret) => Buffer.from(derive(secret, "check")).toString("base64url"));
  return {
    tokenKeys: secrets.map((secret) => derive(secret, "token")),
    contents: createSealer(secrets, "content", options.random),
    bundles: createSealer(secrets, "bundle", options.random),
    webhookSecrets: createSealer(secrets, "webhook", options.random),
    checks: { current: known[0] as string, known },
  };
}

/** What an endpoint's own headers are sealed under. */
export function endpointHeadersContext(inbox: number, address: string): string {
  return `endpoint-headers/${inbox}/${address}`;
}

/** What the private key that signs an endpoint's pushes is sealed under. */
export function signingKeyContext(inbox: number, address: string): string {
  return `endpoint-key/${inbox}/${address}`;
}

/** What the kept part of the answer to a push is sealed under. */
export function answerContext(endpoint: number, seq: number): string {
  return `answer/${endpoint}/${seq}`;
}

/** What the keys of a browser's subscription are sealed under. */
export function contactSecretContext(user: number, address: string): string {
  return `contact/${user}/${address}`;
}

/** What the token that ends a contact is sealed under. */
export function contactTokenContext(user: number): string {
  return `contact-token/${user}`;
}

/** What the code that verifies a contact is sealed under. */
export function contactCodeContext(contact: number): string {
  return `contact-code/${contact}`;
}

/** What the code for a forgotten password is sealed under. */
export function resetCodeContext(user: number): string {
  return `reset-code/${user}`;
}

/** What the secret of a user's authenticator is sealed under. */
export function totpContext(user: number): string {
  return `totp/${user}`;
}

/** What an endpoint's webhook secret is sealed under. */
export function webhookSecretContext(inbox: number, address: string): string {
  return `endpoint/${inbox}/${address}`;
}

/** The context of a sign-in through a provider that was begun. */
export const signInContext = "sign-in";
