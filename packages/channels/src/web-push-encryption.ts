import { createCipheriv, createECDH, hkdfSync } from "node:crypto";

/** What a browser gives for a subscription (Push API, `PushSubscription.getKey`). */
export interface SubscriptionKeys {
  /** Its public key: a point of P-256, uncompressed, of 65 bytes. */
  p256dh: Uint8Array;
  /** 16 bytes that it shares with whoever sends. */
  auth: Uint8Array;
}

/** What is new for each message; drawn where it is not given. */
interface Ephemeral {
  /** Of P-256: 32 bytes. */
  privateKey?: Uint8Array;
  salt: Uint8Array;
}

const CURVE = "prime256v1";
const POINT_BYTES = 65;
const AUTH_BYTES = 16;
const TAG_BYTES = 16;
/** A push service takes at least so much (RFC 8030, 7.2), and many take no more. */
const RECORD_BYTES = 4096;
/** Before the record: salt, record size, length of the key, and the key. */
const HEADER_BYTES = 16 + 4 + 1 + POINT_BYTES;
/** Ends the only record (RFC 8188, 2). */
const LAST_RECORD = Uint8Array.of(2);

/** Bytes of a message. */
export const MAX_PAYLOAD_BYTES = RECORD_BYTES - HEADER_BYTES - TAG_BYTES - LAST_RECORD.length;

/** Why these are no keys of a subscription; undefined where they are. */
export function refusalOfKeys({ p256dh, auth }: SubscriptionKeys): string | undefined {
  if (auth.length !== AUTH_BYTES) return `auth must be ${AUTH_BYTES} bytes in base64url`;
  if (p256dh.length !== POINT_BYTES || p256dh[0] !== 4)
    return `p256dh must be a point of P-256: ${POINT_BYTES} bytes in base64url`;
  const ecdh = createECDH(CURVE);
  ecdh.generateKeys();
  try {
    ecdh.computeSecret(p256dh);
    return undefined;
  } catch {
    return "p256dh is not a point of P-256";
  }
}

const hkdf = (salt: Uint8Array, secret: Uint8Array, info: Uint8Array, length: number): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", secret, salt, info, length));

/**
 * Encrypts a message for a subscription (RFC 8291), as one record of `aes128gcm` (RFC 8188): up to
 * {@link MAX_PAYLOAD_BYTES}. @throws where the keys are none, or the message is longer.
 */
export function encryptPush(payload: Uint8Array, keys: SubscriptionKeys, { privateKey, salt }: Ephemeral): Buffer {
  if (payload.length > MAX_PAYLOAD_BYTES) throw new RangeError("the message is too long");
  const ecdh = createECDH(CURVE);
  if (privateKey === undefined) ecdh.generateKeys();
  else ecdh.setPrivateKey(privateKey);
  const own = ecdh.getPublicKey();
  const shared = ecdh.computeSecret(keys.p256dh);
  const secret = hkdf(keys.auth, shared, Buffer.concat([Buffer.from("WebPush: info\0"), keys.p256dh, own]), 32);
  const key = hkdf(salt, secret, Buffer.from("Content-Encoding: aes128gcm\0"), 16);
  const nonce = hkdf(salt, secret, Buffer.from("Content-Encoding: nonce\0"), 12);
  const cipher = createCipheriv("aes-128-gcm", key, nonce);
  const record = [cipher.update(Buffer.concat([payload, LAST_RECORD])), cipher.final(), cipher.getAuthTag()];
  const size = Buffer.alloc(5);
  size.writeUInt32BE(RECORD_BYTES);
  size.writeUInt8(own.length, 4);
  return Buffer.concat([salt, size, own, ...record]);
}
