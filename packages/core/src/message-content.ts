/** What a client sent, as it is sealed: the first part of a push's body. */
export interface MessageContent {
  message: string;
  sender_id: number;
  sender_username: string;
  /** Whom it is for; absent in a group, where it is for everybody else. */
  receiver_id?: number;
  /** As it came. */
  send_date: string;
  /** The id of the message that this one answers. */
  reply_to?: string;
}

/** What the stored content of a message to a group begins with. */
const TO_GROUP = Buffer.from('{"v":2,');

/**
 * The JSON of a content, as it is stored. One content of a message to a group is stored for all who receive
 * it: it does not say whom it is for, and its first field, `v`, tells that. It is not part of what anybody is
 * shown.
 */
export function storedContent(content: MessageContent): Buffer {
  const json = Buffer.from(JSON.stringify(content));
  return content.receiver_id === undefined ? Buffer.concat([TO_GROUP, json.subarray(1)]) : json;
}

/** Reads what {@link storedContent} wrote. */
export function readContent(stored: Uint8Array): MessageContent {
  const { v: _, ...content } = JSON.parse(Buffer.from(stored).toString()) as MessageContent & { v?: number };
  return content;
}

/**
 * The fields of a stored content as bytes: its JSON without the braces. `isToGroup` where it does not say whom
 * it is for.
 */
export function fieldsOf(stored: Uint8Array): { fields: Uint8Array; isToGroup: boolean } {
  if (stored.at(-1) !== 0x7d) throw new Error("the content is not a JSON object");
  const isToGroup = TO_GROUP.compare(stored, 0, TO_GROUP.length) === 0;
  return { fields: stored.subarray(isToGroup ? TO_GROUP.length : 1, -1), isToGroup };
}
