/** Encrypted content-encoding (RFC 8188), as its authors wrote it for Node; it brings no types. */
declare module "http_ece" {
  import type { ECDH } from "node:crypto";

  export function decrypt(body: Uint8Array, options: { version: "aes128gcm"; privateKey: ECDH; authSecret: string }): Buffer;
}
