import type { Message } from "@messenger/contracts";
import type { Keyring } from "@messenger/core";
import type { MessageRow } from "@messenger/store";
import { contentOf } from "./contents.ts";

/** RFC 3339, UTC, with milliseconds; `at` is in microseconds since the epoch. */
export const timestampOf = (at: number): string => new Date(Math.floor(at / 1_000)).toISOString();

/** A message as those who may read it see it. */
export function describeMessage(keyring: Keyring, row: MessageRow): Message {
  const { id, conversation, content, version, at, reactions } = row;
  return {
    message_id: id,
    conversation_id: conversation,
    ...contentOf(keyring, id, content),
    version,
    created_at: timestampOf(at),
    reactions: [...reactions],
  };
}
