import type { Conversation, Message } from "@messenger/contracts";
import {
  type ConversationRow,
  findConversation,
  listConversations,
  listMessages,
  markRead,
  type MessageRow,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { publishEvents } from "../publisher.ts";
import { Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { contentOf } from "./contents.ts";
import { placeOfId, placeOfNumber, readPage, type Page, type PageRequest } from "./pages.ts";

export interface Conversations {
  list(by: Identity, request: PageRequest): Promise<Page<Conversation>>;
  /** @throws {Refused} no_such_conversation */
  read(by: Identity, id: number): Promise<{ conversation: Conversation; seq: number }>;
  /** @throws {Refused} no_such_conversation */
  history(by: Identity, id: number, request: PageRequest & { order: "newest" | "oldest" }): Promise<Page<Message>>;
  /** @throws {Refused} no_such_conversation, no_such_message */
  markRead(by: Identity, id: number, messageId: string): Promise<{ messageId: string; unread: number }>;
}

const noSuchConversation = (): Refused => new Refused("no_such_conversation", "there is no such conversation");
/** RFC 3339, UTC, with milliseconds; `at` is in microseconds. */
const timestampOf = (at: number): string => new Date(Math.floor(at / 1_000)).toISOString();

/** Who writes with whom, and what was written. */
export function createConversations({ db, keyring, ids, publisher }: Context): Conversations {
  function describeMessage({ id, conversation, content, version, at }: MessageRow): Message {
    const { message, ...rest } = contentOf(keyring, id, content);
    return { message_id: id, conversation_id: conversation, message, ...rest, version, created_at: timestampOf(at) };
  }

  function describe({ id, peer, last, unread, readId }: ConversationRow): Conversation {
    return {
      conversation_id: id,
      kind: "direct",
      with: peer === null ? null : { user_id: peer.id, username: peer.username, full_name: peer.fullName },
      last_message: describeMessage(last),
      last_activity_at: timestampOf(last.at),
      unread,
      read_message_id: readId,
    };
  }

  return {
    list: (by, request) =>
      readPage(request, placeOfNumber, async (after, limit) => {
        const { head, conversations } = await listConversations(db, by.userId, { after, limit });
        return { seq: head, rows: conversations.map((row) => ({ at: row.last.at, id: row.id, item: describe(row) })) };
      }),
    async read(by, id) {
      const found = await findConversation(db, by.userId, id);
      if (found === null) throw noSuchConversation();
      return { conversation: describe(found.conversation), seq: found.head };
    },
    history: (by, conversation, request) =>
      readPage(request, placeOfId, async (after, limit) => {
        const found = await listMessages(db, by.userId, conversation, { after, order: request.order, limit });
        if (found === null) throw noSuchConversation();
        return { seq: found.head, rows: found.messages.map((row) => ({ at: row.at, id: row.id, item: describeMessage(row) })) };
      }),
    async markRead(by, conversation, messageId) {
      const eventId = ids.next();
      const data = keyring.contents.seal(eventId, Buffer.from(JSON.stringify({ user_id: by.userId })));
      const marked = await markRead(db, { userId: by.userId, conversation, messageId, eventId, data });
      if (marked !== null) publishEvents(publisher, marked, new Uint8Array());
      const found = await findConversation(db, by.userId, conversation);
      if (found === null) throw noSuchConversation();
      const { readId, unread } = found.conversation;
      if (marked === null || readId === null) {
        throw new Refused("no_such_message", "there is no such message in this conversation");
      }
      return { messageId: readId, unread };
    },
  };
}
