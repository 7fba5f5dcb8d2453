import type { ChangePreferences, Conversation, Message, OpenConversation } from "@messenger/contracts";
import {
  acceptRequest,
  changePreferences,
  type ConversationRow,
  createGroup,
  declineRequest,
  findConversation,
  keepMessages,
  listConversations,
  listMessages,
  markRead,
  MAX_GROUPS,
  openDirect,
  type Preferences,
  groupRequestContext,
  titleContext,
} from "@messenger/store";
import type { Context } from "../context.ts";
import { publishEvents } from "../publisher.ts";
import { noSuchConversation, Refused } from "../refused.ts";
import type { Identity } from "../tokens.ts";
import { sealJson } from "./contents.ts";
import { describeMessage, timestampOf } from "./describe-message.ts";
import { placeOfId, placeOfNumber, readPage, type Page, type PageRequest } from "./pages.ts";
import { requestKeyOf } from "./request-key.ts";

/** A conversation, and the last event of the reader's inbox that is in it. */
interface ReadConversation {
  conversation: Conversation;
  seq: number;
}

export interface Conversations {
  list(
    by: Identity,
    request: PageRequest & { archived?: boolean | undefined; requests?: boolean | undefined },
  ): Promise<Page<Conversation>>;
  /** Accepts a stranger; where one has, or nobody waits, nothing changes. @throws {Refused} no_such_conversation */
  accept(by: Identity, id: number): Promise<ReadConversation>;
  /** Keeps messages for so many days; null for ever. @throws {Refused} no_such_conversation, forbidden */
  keep(by: Identity, id: number, days: number | null): Promise<ReadConversation>;
  /** @throws {Refused} no_such_conversation */
  decline(by: Identity, id: number): Promise<void>;
  /**
   * Finds or makes the one with a user, or makes a group. @throws {Refused} validation_error,
   * unknown_receiver, idempotency_key_reused
   */
  open(by: Identity, given: OpenConversation, idempotencyKey: string | undefined): Promise<ReadConversation>;
  /** @throws {Refused} no_such_conversation */
  read(by: Identity, id: number): Promise<ReadConversation>;
  /** @throws {Refused} no_such_conversation */
  history(by: Identity, id: number, request: PageRequest & { order: "newest" | "oldest" }): Promise<Page<Message>>;
  /** @throws {Refused} no_such_conversation, no_such_message */
  markRead(by: Identity, id: number, messageId: string): Promise<{ messageId: string; unread: number }>;
  /** @throws {Refused} no_such_conversation */
  prefer(by: Identity, id: number, given: ChangePreferences): Promise<Preferences>;
}

const noSuchUser = (): Refused => new Refused("unknown_receiver", "there is no such user, or one of several does not exist");

/** Who writes with whom, and what was written. */
export function createConversations({ db, keyring, ids, publisher }: Context): Conversations {
  function describe({
    id,
    peer,
    group,
    last,
    activeAt,
    unread,
    readId,
    isRequest,
    keepDays,
    preferences,
  }: ConversationRow): Conversation {
    return {
      conversation_id: id,
      kind: group === null ? "direct" : "group",
      with: peer === null ? null : { user_id: peer.id, username: peer.username, full_name: peer.fullName },
      group: group && {
        title: keyring.contents.unseal(titleContext(id), group.title).toString(),
        role: group.role,
        members: group.members,
      },
      last_message: last && describeMessage(keyring, last),
      last_activity_at: activeAt === null ? null : timestampOf(activeAt),
      unread,
      read_message_id: readId,
      is_request: isRequest,
      keep_days: keepDays,
      preferences,
    };
  }

  async function read(by: Identity, id: number): Promise<ReadConversation> {
    const found = await findConversation(db, by.userId, id);
    if (found === null) throw noSuchConversation();
    return { conversation: describe(found.conversation), seq: found.head };
  }

  async function makeGroup(by: Identity, title: string, members: readonly number[], key: Uint8Array | null): Promise<number> {
    const eventId = ids.next();
    const asked = Buffer.from(JSON.stringify([title, [...members].sort((a, b) => a - b)]));
    const made = await createGroup(db, {
      by: by.userId,
      members,
      sealTitle: (id) => keyring.contents.seal(titleContext(id), Buffer.from(title)),
      eventId,
      sealData: (count) => sealJson(keyring, eventId, { by_user_id: by.userId, title, members: count }),
      request: key && {
        key,
        sealed: keyring.contents.seal(groupRequestContext, asked),
        isSame: (sealed) => keyring.contents.unseal(groupRequestContext, sealed).equals(asked),
      },
    });
    switch (made.status) {
      case "no-user":
        throw noSuchUser();
      case "full":
        throw new Refused("full", `one owns at most ${MAX_GROUPS} groups`);
      case "repeat":
        if (made.isSame) return made.id;
        throw new Refused("idempotency_key_reused", "this Idempotency-Key was used for another group");
      case "made":
        publishEvents(publisher, made.events);
        return made.id;
    }
  }

  return {
    list: (by, { archived = null, requests = false, ...request }) =>
      readPage(request, placeOfNumber, async (after, limit) => {
        const { head, conversations } = await listConversations(db, by.userId, { after, limit, archived, requests });
        return {
          seq: head,
          rows: conversations.map((row) => ({ at: row.activeAt as number, id: row.id, item: describe(row) })),
        };
      }),
    async open(by, { user_id, title, member_ids }, idempotencyKey) {
      const key = requestKeyOf(idempotencyKey, by.userId);
      if (user_id !== undefined && title === undefined && member_ids === undefined) {
        const id = await openDirect(db, by.userId, user_id);
        if (id === null) throw noSuchUser();
        return read(by, id);
      }
      if (title === undefined || user_id !== undefined) {
        throw new Refused("validation_error", "body: give user_id alone, or title, and member_ids if there are any");
      }
      return read(by, await makeGroup(by, title, member_ids ?? [], key));
    },
    read,
    history: (by, conversation, request) =>
      readPage(request, placeOfId, async (after, limit) => {
        const found = await listMessages(db, by.userId, conversation, { after, order: request.order, limit });
        if (found === null) throw noSuchConversation();
        const rows = found.messages.map((row) => ({ at: row.at, id: row.id, item: describeMessage(keyring, row) }));
        return { seq: found.head, rows };
      }),
    async markRead(by, conversation, messageId) {
      const eventId = ids.next();
      const data = sealJson(keyring, eventId, { user_id: by.userId });
      const marked = await markRead(db, { userId: by.userId, conversation, messageId, eventId, data });
      if (marked !== null) publishEvents(publisher, marked);
      const found = await findConversation(db, by.userId, conversation);
      if (found === null) throw noSuchConversation();
      const { readId, unread } = found.conversation;
      if (marked === null || readId === null) {
        throw new Refused("no_such_message", "there is no such message in this conversation");
      }
      return { messageId: readId, unread };
    },
    async accept(by, conversation) {
      publisher.wake(await acceptRequest(db, by.userId, conversation));
      return read(by, conversation);
    },
    async keep(by, conversation, days) {
      const eventId = ids.next();
      const data = sealJson(keyring, eventId, { by_user_id: by.userId, keep_days: days });
      const changed = await keepMessages(db, { conversation, userId: by.userId, days, eventId, data });
      if (changed === null) throw noSuchConversation();
      if (changed === "forbidden") throw new Refused("forbidden", "only owners and admins of the group say that");
      publishEvents(publisher, changed);
      return read(by, conversation);
    },
    async decline(by, conversation) {
      if (!(await declineRequest(db, by.userId, conversation))) await read(by, conversation);
    },
    async prefer(by, conversation, given) {
      const eventId = ids.next();
      const sealData = (preferences: Preferences): Uint8Array => sealJson(keyring, eventId, { preferences });
      const changed = await changePreferences(db, { userId: by.userId, conversation, given, eventId, sealData });
      if (changed === null) throw noSuchConversation();
      publishEvents(publisher, changed.events);
      return changed.preferences;
    },
  };
}
