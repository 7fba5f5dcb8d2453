import type { Keyring } from "@messenger/core";
import { type Db, keepValue, replaceValue } from "@messenger/store";

/**
 * A key that the deployment has made once, and keeps: sealed, but not made anew with its secret. The first
 * process to ask makes it; what is sealed under a previous secret is resealed.
 */
export async function loadOwnKey(db: Db, keyring: Keyring, name: string, make: () => Uint8Array): Promise<Uint8Array> {
  const seal = (key: Uint8Array): string => Buffer.from(keyring.contents.seal(name, key)).toString("base64");
  const kept = await keepValue(db, name, () => seal(make()));
  const sealed = Buffer.from(kept, "base64");
  const key = keyring.contents.unseal(name, sealed);
  if (!keyring.contents.isCurrent(sealed)) await replaceValue(db, name, kept, seal(key));
  return key;
}
