import { type Keyring, type MessageContent, readContent } from "@messenger/core";

/** The JSON that was sealed under the id of a message or an event. */
export function unsealJson(keyring: Keyring, id: string, sealed: Uint8Array): unknown {
  return JSON.parse(keyring.contents.unseal(id, sealed).toString());
}

/** Seals a value as JSON, under the id of a message or an event. */
export function sealJson(keyring: Keyring, id: string, value: object): Uint8Array {
  return keyring.contents.seal(id, Buffer.from(JSON.stringify(value)));
}

/** The content of a message, sealed under its id. */
export function contentOf(keyring: Keyring, id: string, sealed: Uint8Array): MessageContent {
  return readContent(keyring.contents.unseal(id, sealed));
}
